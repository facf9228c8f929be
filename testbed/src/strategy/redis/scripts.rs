//! The Lua scripts: each operation of the buffer is one of them, so that Redis does it whole or not at all.
//!
//! # Why the first line
//! With a `#!lua` line (Redis 7) the server checks memory, replica and disk *before* the script begins: a refusal
//! proves that nothing ran. Only `push` may be refused for lack of memory: the others make room, or lead to it.

use std::sync::LazyLock;

pub(super) struct Script {
    source: &'static str,
    /// SHA-1 of the source, as `EVALSHA` asks for it.
    digest: String,
}

/// The script behind its flags and what it shares with the others.
macro_rules! script {
    ($flags:literal, $($file:literal),+) => {
        LazyLock::new(|| {
            let source = concat!("#!lua", $flags, "\n", include_str!("keys.lua"), $(include_str!($file)),+);
            Script { source, digest: redis::Script::new(source).get_hash().to_owned() }
        })
    };
}

pub(super) static PUSH: LazyLock<Script> = script!("", "push.lua");
pub(super) static POLL: LazyLock<Script> = script!(" flags=allow-oom", "poll.lua");
pub(super) static ACK: LazyLock<Script> = script!(" flags=allow-oom", "ack.lua");
pub(super) static NACK: LazyLock<Script> = script!(" flags=allow-oom", "dead.lua", "nack.lua");
pub(super) static EXTEND: LazyLock<Script> = script!(" flags=allow-oom", "extend.lua");
pub(super) static REDRIVE: LazyLock<Script> = script!(" flags=allow-oom", "dead.lua", "redrive.lua");
pub(super) static BURY: LazyLock<Script> = script!(" flags=allow-oom", "dead.lua", "bury.lua");
pub(super) static SIZE: LazyLock<Script> = script!(" flags=no-writes", "size.lua");

/// The six keys of a buffer, in the order of `keys.lua`.
#[derive(Debug, Clone)]
pub(super) struct Keys([String; 6]);

impl Keys {
    pub(super) fn of(list: &str) -> Self {
        Keys(["", ":leases", ":delayed", ":items", ":dead", ":counters"].map(|end| format!("{list}{end}")))
    }

    pub(super) fn ready(&self) -> &str {
        &self.0[0]
    }

    pub(super) fn dead(&self) -> &str {
        &self.0[4]
    }
}

/// One call of a script.
pub(super) struct Call {
    script: &'static Script,
    keys: Keys,
    args: Vec<Vec<u8>>,
}

impl Call {
    pub(super) fn new(script: &'static Script, keys: &Keys) -> Self {
        Call { script, keys: keys.clone(), args: Vec::new() }
    }

    pub(super) fn arg(mut self, arg: impl redis::ToRedisArgs) -> Self {
        self.args.extend(arg.to_redis_args());
        self
    }

    /// By the script's digest: what Redis has seen before it need not be sent again.
    pub(super) fn by_digest(&self) -> redis::Cmd {
        self.command("EVALSHA", &self.script.digest)
    }

    pub(super) fn by_source(&self) -> redis::Cmd {
        self.command("EVAL", self.script.source)
    }

    fn command(&self, name: &str, script: &str) -> redis::Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.0.len()).arg(&self.keys.0[..]).arg(&self.args);
        command
    }
}
