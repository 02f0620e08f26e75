//! emu: a cloud provider for functions, on your laptop.
