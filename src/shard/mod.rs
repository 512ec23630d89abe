//! A shard: accepting, admission, a connection's stages, drain. Drives all the others.
