//! What a look at one thing found: that it is well, or what is wrong with it and what to do.

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub name: String,
    pub state: State,
    pub said: String,
    /// What to do, in lines.
    pub advice: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Ok,
    /// It could not be looked at.
    Unknown,
    /// The program does without it, or it is not as safe as it could be.
    Warning,
    Failed,
}

impl State {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl Finding {
    fn new(state: State, name: impl Into<String>, said: impl Into<String>) -> Self {
        Self { name: name.into(), state, said: said.into(), advice: None }
    }

    pub fn ok(name: impl Into<String>, said: impl Into<String>) -> Self {
        Self::new(State::Ok, name, said)
    }

    pub fn unknown(name: impl Into<String>, said: impl Into<String>) -> Self {
        Self::new(State::Unknown, name, said)
    }

    pub fn warning(name: impl Into<String>, said: impl Into<String>) -> Self {
        Self::new(State::Warning, name, said)
    }

    pub fn failed(name: impl Into<String>, said: impl Into<String>) -> Self {
        Self::new(State::Failed, name, said)
    }

    pub fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}
