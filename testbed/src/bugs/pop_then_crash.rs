//! A batch is popped, then written: what a worker that dies in between had in its hands is nowhere.

use std::sync::Arc;

use super::Bug;
use super::scripted::Scripted;
use crate::strategy::redis::{Lazy, SCRIPTS, Script, Scripts};

pub(super) const BUG: Bug =
    Bug { name: "pop-then-crash", parts: || Arc::new(Scripted(Scripts { poll: &POP, ..SCRIPTS })) };

static POP: Lazy = Lazy::new(|| {
    Script::new(
        "",
        &["
local answer = {}
for _, envelope in ipairs(redis.call('RPOP', ready, ARGV[1]) or {}) do
  answer[#answer + 1] = string.format('%s#%d', ARGV[3], redis.call('HINCRBY', counters, 'receipt', 1))
  answer[#answer + 1] = envelope
end
return answer"],
    )
});
