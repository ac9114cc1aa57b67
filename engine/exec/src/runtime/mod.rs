//! Lowers plans to pipelines and runs them on a fixed pool of workers.
