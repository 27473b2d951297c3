//! The door for people: one file per noun. It must never hold rules.

pub mod output;

pub mod config;

pub mod run;

pub mod demo;

pub mod simulate;
