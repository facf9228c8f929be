//! A batch is read with LRANGE, written, then cut off with LTRIM: three steps. Two workers read the same range, and the
//! second cut takes what nobody has read (the ADR's own preview of V5).

use std::sync::Arc;

use super::Bug;
use super::scripted::Scripted;
use crate::strategy::redis::{Lazy, SCRIPTS, Script, Scripts};

pub(super) const BUG: Bug =
    Bug { name: "range-then-trim", parts: || Arc::new(Scripted(Scripts { poll: &RANGE, ack: &TRIM, ..SCRIPTS })) };

static RANGE: Lazy = Lazy::new(|| {
    Script::new(
        "",
        &["
local waiting = redis.call('LRANGE', ready, -tonumber(ARGV[1]), -1)
local answer = {}
for i = #waiting, 1, -1 do
  answer[#answer + 1] = string.format('%s#%d', ARGV[3], redis.call('HINCRBY', counters, 'receipt', 1))
  answer[#answer + 1] = waiting[i]
end
return answer"],
    )
});

static TRIM: Lazy = Lazy::new(|| {
    Script::new(
        "",
        &["
redis.call('LTRIM', ready, 0, -(#ARGV + 1))
return #ARGV"],
    )
});
