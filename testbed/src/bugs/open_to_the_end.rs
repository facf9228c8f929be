//! No bug of its own: a buffer that takes offers after its close. A right tracker of offers makes that harmless; the
//! bugs that have none need it, or a second lock would hide them.

use super::twisted::Twist;
use crate::parts::Buffer;

pub(super) struct OpenToTheEnd;

impl Twist for OpenToTheEnd {
    fn close(&self, _inner: &Buffer) {}
}
