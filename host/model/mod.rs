//! Configuration, tokenizer, chat template, weights and network.
