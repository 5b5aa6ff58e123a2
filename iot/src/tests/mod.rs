//! The link against a real Mosquitto, with simulated vehicles and a desk that writes down what it is
//! told. The broker here lets everybody say everything: what holds, holds without its fence. Each
//! protection has a twin: the same race with it taken away, where it must then be seen to happen.

mod mosquitto;
mod published;
mod races;
mod strangers;
mod world;
