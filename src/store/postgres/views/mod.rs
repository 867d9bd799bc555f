//! The views: checkpoints, the tables of projections, snapshots of aggregates.
