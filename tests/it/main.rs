//! The one test binary: stories, properties and the rules of the house.

mod domain;
