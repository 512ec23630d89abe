//! Command line of Portcullis.

fn main() {}
