//! Tests of the physical flows on small Southbounds.
