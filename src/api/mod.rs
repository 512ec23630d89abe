//! The admin endpoint and the read-only metrics endpoint, on the control thread.
