//! The application of the tests: orders, which are paid or lapse, and their parcels.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annals::prelude::*;
use annals::reactions::{Reaction, Since, Then};
use serde::{Deserialize, Serialize};

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "order", on = Order)]
pub enum OrderEvent {
    #[event(create, "{actor} placed {order}")]
    Placed,
    #[event(update, "{actor} paid {order}")]
    Paid,
    #[event(delete, "{order} lapsed")]
    Lapsed,
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Order {
    pub open: bool,
    pub payments: u32,
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Id = OrderId;
    type Event = OrderEvent;
    type Error = Infallible;
    fn apply(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Placed => self.open = true,
            OrderEvent::Paid => (self.open, self.payments) = (false, self.payments + 1),
            OrderEvent::Lapsed => self.open = false,
        }
    }
}

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParcelId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "parcel", on = Parcel)]
pub enum ParcelEvent {
    #[event(create, "{actor} packed {parcel}")]
    Packed { payment: u32 },
    #[event(update, "{actor} moved {parcel}")]
    Moved,
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Parcel {
    pub payments: Vec<u32>,
    pub moves: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum ParcelError {
    #[error("nothing is sent to {0}")]
    Forbidden(ParcelId),
}

impl Aggregate for Parcel {
    const TYPE: &'static str = "parcel";
    type Id = ParcelId;
    type Event = ParcelEvent;
    type Error = ParcelError;
    fn apply(&mut self, event: &ParcelEvent) {
        match event {
            ParcelEvent::Packed { payment } => self.payments.push(*payment),
            ParcelEvent::Moved => self.moves += 1,
        }
    }
}

macro_rules! order_commands {
    ($($(#[$doc:meta])* $name:ident => $event:ident $(if $open:ident)?),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
            pub struct $name {
                #[on(Order)]
                pub order: OrderId,
            }

            impl Handle for $name {
                fn handle(&self, _order: &Loaded<Order>, _: &Context) -> Result<Vec<OrderEvent>, Infallible> {
                    Ok(vec![OrderEvent::$event] $(.into_iter().filter(|_| _order.$open).collect())?)
                }
            }
        )+
    };
}

order_commands! {
    /// Place an order
    PlaceOrder => Placed,
    /// Pay an order
    Pay => Paid,
    /// Let an order lapse
    Lapse => Lapsed if open,
}

/// Pack a parcel
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Pack {
    #[on(Parcel)]
    pub parcel: ParcelId,
    pub payment: u32,
}

/// Whether the order `fragile` is handled without a panic.
pub static MENDED: AtomicBool = AtomicBool::new(false);

impl Handle for Pack {
    fn handle(&self, parcel: &Loaded<Parcel>, _: &Context) -> Result<Vec<ParcelEvent>, ParcelError> {
        match &*self.parcel.text() {
            "forbidden" => Err(ParcelError::Forbidden(self.parcel.clone())),
            "limited" if parcel.moves == 0 => Err(ParcelError::Forbidden(self.parcel.clone())),
            "fragile" if !MENDED.load(Ordering::SeqCst) => panic!("it broke"),
            "packed" if parcel.exists() => Ok(Vec::new()),
            _ => Ok(vec![ParcelEvent::Packed { payment: self.payment }]),
        }
    }
}

/// Move a parcel
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Move {
    #[on(Parcel)]
    pub parcel: ParcelId,
}

impl Handle for Move {
    fn handle(&self, _: &Loaded<Parcel>, _: &Context) -> Result<Vec<ParcelEvent>, ParcelError> {
        Ok(vec![ParcelEvent::Moved])
    }
}

/// What is paid is packed.
pub struct Packing<const VERSION: u32 = 1>;

impl<const VERSION: u32> Reaction for Packing<VERSION> {
    const NAME: &'static str = "packing";
    const VERSION: u32 = VERSION;
    type On = Order;
    fn react(event: &Recorded<OrderEvent>, order: &Loaded<Order>) -> Then {
        match event.event {
            OrderEvent::Paid if order.id().text() == "odd" => panic!("what an odd order"),
            OrderEvent::Paid => Pack { parcel: ParcelId::new(order.id().text()), payment: order.payments }.into(),
            _ => Then::nothing(),
        }
    }
}

/// The same for all events of the log.
pub struct PackingAll;

impl Reaction for PackingAll {
    const NAME: &'static str = "packing";
    const SINCE: Since = Since::Beginning;
    type On = Order;
    fn react(event: &Recorded<OrderEvent>, order: &Loaded<Order>) -> Then {
        Packing::<1>::react(event, order)
    }
}

pub const HOUR: Duration = Duration::from_secs(3_600);

/// What is not paid within an hour lapses.
pub struct Lapsing;

impl Reaction for Lapsing {
    const NAME: &'static str = "lapsing";
    type On = Order;
    fn react(event: &Recorded<OrderEvent>, order: &Loaded<Order>) -> Then {
        match event.event {
            OrderEvent::Placed => Then::nothing().after(HOUR, "lapse", Lapse { order: order.id().clone() }),
            OrderEvent::Paid | OrderEvent::Lapsed => Then::nothing().cancel("lapse"),
        }
    }
}

/// Whatever moves is moved on.
pub struct Moving;

impl Reaction for Moving {
    const NAME: &'static str = "moving";
    type On = Parcel;
    fn react(event: &Recorded<ParcelEvent>, parcel: &Loaded<Parcel>) -> Then {
        match event.event {
            ParcelEvent::Moved => Move { parcel: parcel.id().clone() }.into(),
            ParcelEvent::Packed { .. } => Then::nothing(),
        }
    }
}

/// The application without reactions.
pub fn shop() -> App {
    App::new("shop").command::<PlaceOrder>().command::<Pay>().command::<Lapse>().command::<Pack>().command::<Move>()
}

pub fn order(id: &str) -> OrderId {
    OrderId::new(id)
}

pub fn by(user: &str) -> Context {
    Context::by(Ref::new("user", user).unwrap())
}

/// The payments for which a parcel was packed.
pub async fn packed(annals: &Annals, id: &str) -> Vec<u32> {
    annals.load::<Parcel>(&ParcelId::new(id)).await.unwrap().payments.clone()
}
