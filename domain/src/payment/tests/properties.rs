//! What holds for any sequence of commands.
