//! What is true of the views on Postgres alone.
