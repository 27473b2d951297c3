//! The one test binary: stories, properties and the rules of the house.

mod config;
mod domain;
mod sim;
mod story;
mod tidy;
mod wechat;
