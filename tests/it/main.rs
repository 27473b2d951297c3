//! The one test binary: stories, properties and the rules of the house.

mod config;
mod database_docs;
mod sim;
mod tidy;
mod wechat;
