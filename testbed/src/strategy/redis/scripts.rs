//! The Lua scripts: each operation of the buffer is one of them, so that Redis does it whole or not at all.
//!
//! # Why the first line
//! With a `#!lua` line (Redis 7) the server checks memory, replica and disk *before* the script begins: a refusal
//! proves that nothing ran. Only `push` may be refused for lack of memory: the others make room, or lead to it.

use std::sync::LazyLock;

pub(crate) struct Script {
    source: String,
    /// SHA-1 of the source, as `EVALSHA` asks for it.
    digest: String,
}

impl Script {
    /// Its parts, behind its flags and what it shares with all others.
    pub(crate) fn new(flags: &str, parts: &[&str]) -> Self {
        let source = format!("#!lua{flags}\n{}{}", include_str!("keys.lua"), parts.concat());
        let digest = redis::Script::new(&source).get_hash().to_owned();
        Script { source, digest }
    }
}

pub(crate) type Lazy = LazyLock<Script>;

/// What each operation of the buffer does in Redis.
#[derive(Clone, Copy)]
pub(crate) struct Scripts {
    pub push: &'static Lazy,
    pub poll: &'static Lazy,
    pub ack: &'static Lazy,
    pub nack: &'static Lazy,
    pub extend: &'static Lazy,
    pub redrive: &'static Lazy,
    pub bury: &'static Lazy,
    pub size: &'static Lazy,
}

/// Those of [`RedisBufferStrategy::connect`](super::RedisBufferStrategy::connect).
pub(crate) const SCRIPTS: Scripts = Scripts {
    push: &PUSH,
    poll: &POLL,
    ack: &ACK,
    nack: &NACK,
    extend: &EXTEND,
    redrive: &REDRIVE,
    bury: &BURY,
    size: &SIZE,
};

/// A script that may run when Redis is out of memory.
const MAKES_ROOM: &str = " flags=allow-oom";

pub(crate) const PUSH_SOURCE: &str = include_str!("push.lua");
pub(crate) const REDRIVE_SOURCE: &str = include_str!("redrive.lua");
pub(crate) const DEAD_SOURCE: &str = include_str!("dead.lua");

static PUSH: Lazy = Lazy::new(|| Script::new("", &[PUSH_SOURCE]));
static POLL: Lazy = Lazy::new(|| Script::new(MAKES_ROOM, &[include_str!("poll.lua")]));
static ACK: Lazy = Lazy::new(|| Script::new(MAKES_ROOM, &[include_str!("ack.lua")]));
static NACK: Lazy = Lazy::new(|| Script::new(MAKES_ROOM, &[DEAD_SOURCE, include_str!("nack.lua")]));
static EXTEND: Lazy = Lazy::new(|| Script::new(MAKES_ROOM, &[include_str!("extend.lua")]));
static REDRIVE: Lazy = Lazy::new(|| Script::new(MAKES_ROOM, &[DEAD_SOURCE, REDRIVE_SOURCE]));
static BURY: Lazy = Lazy::new(|| Script::new(MAKES_ROOM, &[DEAD_SOURCE, include_str!("bury.lua")]));
static SIZE: Lazy = Lazy::new(|| Script::new(" flags=no-writes", &[include_str!("size.lua")]));

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
        self.command("EVAL", &self.script.source)
    }

    fn command(&self, name: &str, script: &str) -> redis::Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.0.len()).arg(&self.keys.0[..]).arg(&self.args);
        command
    }
}
