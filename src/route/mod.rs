//! Routing: which action answers a request. So far each listener has its default action alone.
use crate::target::Group;
use std::sync::Arc;

/// What is done with a request.
#[derive(Clone, Debug)]
pub enum Action {
    /// It goes to a target of this group.
    Forward(Arc<Group>),
    /// The node answers it.
    FixedResponse(FixedResponse),
}

/// A `fixed-response` action.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FixedResponse {
    /// 2XX, 4XX or 5XX.
    pub status: u16,
    /// One of ALB's five content types.
    pub content_type: String,
    /// 0 to 1,024 bytes.
    pub body: String,
}
