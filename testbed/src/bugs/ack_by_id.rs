//! An acknowledgement counts for the row that a task is for, not for its delivery: it ends the leases of every other task
//! of that row, whoever holds them.

use std::sync::Arc;

use super::Bug;
use super::scripted::Scripted;
use crate::strategy::redis::{Lazy, SCRIPTS, Script, Scripts};

pub(super) const BUG: Bug =
    Bug { name: "ack-by-id", parts: || Arc::new(Scripted(Scripts { ack: &BY_ROW, ..SCRIPTS })) };

static BY_ROW: Lazy = Lazy::new(|| {
    Script::new(
        "",
        &["
local function row(receipt)
  return string.match(redis.call('HGET', items, receipt) or '', '\"key\":%d+,\"preset\":%d+')
end
local acknowledged = {}
for _, receipt in ipairs(ARGV) do
  local id = row(receipt)
  if id then acknowledged[id] = true end
end
local ended = 0
for _, receipt in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
  if acknowledged[row(receipt) or ''] then
    redis.call('ZREM', leases, receipt)
    redis.call('HDEL', items, receipt)
    ended = ended + 1
  end
end
return ended"],
    )
});
