//! A part of a shard's work that is measured by itself.

/// One part.
pub struct Part {
    /// `what/of what`
    pub name: &'static str,
    pub work: Work,
}

/// What is run.
pub enum Work {
    /// Each time the same.
    Same(Box<dyn FnMut()>),
    /// Each time something new, whose making is not measured.
    Fresh(Box<dyn FnMut() -> Box<dyn FnOnce()>>),
}

impl Part {
    /// One that does the same each time. What `work` answers is not optimised away.
    pub fn same<T>(name: &'static str, mut work: impl FnMut() -> T + 'static) -> Self {
        let work = Box::new(move || {
            std::hint::black_box(work());
        });
        Self { name, work: Work::Same(work) }
    }

    /// One whose `prepare` makes what is measured.
    pub fn fresh<T, W: FnOnce() -> T + 'static>(
        name: &'static str,
        mut prepare: impl FnMut() -> W + 'static,
    ) -> Self {
        let prepare = move || -> Box<dyn FnOnce()> {
            let work = prepare();
            Box::new(move || {
                std::hint::black_box(work());
            })
        };
        Self { name, work: Work::Fresh(Box::new(prepare)) }
    }
}
