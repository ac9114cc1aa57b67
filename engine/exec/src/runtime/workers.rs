//! The worker pool: a fixed number of threads that run resumable tasks.
//!
//! A task is queued, running, running and notified, idle or done. Its waker queues it again when idle and
//! marks it notified when it runs, so that no wake-up is lost and none runs it twice at once. Workers take
//! from their own queue first, then from the shared one, then from each other; with nothing to do they sleep.
//! A panic of a task ends that task only.

use crate::error::Error;
use crossbeam::deque::{Injector, Steal, Stealer, Worker};
use parking_lot::{Condvar, Mutex};
use std::any::Any;
use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Weak};
use std::task::{Poll, Wake, Waker};

/// The stack that the deepest expression which the planner lets through is planned, compiled and evaluated on; what
/// is not touched takes no memory. A thread that has less is given another for each statement, which takes longer than
/// a small one.
pub const STACK_BYTES: usize = 64 << 20;

/// A fixed pool of threads, or none ([`Workers::inline`]). Dropping it ends the threads after the step they
/// are in; tasks that are left are dropped.
pub struct Workers {
    pool: Arc<Pool>,
}

/// What a worker runs, a step at a time.
pub trait Job: Send {
    /// One step of at most a few milliseconds.
    fn step(&mut self, waker: &Waker) -> JobStatus;
    /// Called instead of a further step when a step panicked.
    fn panicked(&mut self, error: Error);
}

/// How a step of a [`Job`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStatus {
    /// Call again when it is its turn.
    Again,
    /// Call again once woken.
    Blocked,
    Done,
}

struct Pool {
    injector: Injector<Arc<Task>>,
    stealers: Vec<Stealer<Arc<Task>>>,
    /// Workers that sleep or are about to.
    sleeping: AtomicUsize,
    sleep_lock: Mutex<()>,
    wake_up: Condvar,
    /// Who runs the tasks of a pool without threads.
    driver: Mutex<Option<Waker>>,
    stopped: AtomicBool,
}

thread_local! {
    /// The queue of the worker that this thread is, and the address of its pool.
    static LOCAL: RefCell<Option<(usize, Worker<Arc<Task>>)>> = const { RefCell::new(None) };
}

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
const NOTIFIED: u8 = 3;
const DONE: u8 = 4;

struct Task {
    state: AtomicU8,
    /// Taken out for good when done. Only the worker that set `RUNNING` locks it.
    job: Mutex<Option<Box<dyn Job>>>,
    pool: Weak<Pool>,
}

impl Workers {
    /// A pool of `threads` threads, at least one. Fails where the system gives no thread.
    pub fn new(threads: usize) -> std::io::Result<Arc<Workers>> {
        let queues: Vec<Worker<Arc<Task>>> = (0..threads.max(1)).map(|_| Worker::new_fifo()).collect();
        let pool = Arc::new(Pool::new(queues.iter().map(Worker::stealer).collect()));
        let workers = Arc::new(Workers { pool: pool.clone() });
        for (index, queue) in queues.into_iter().enumerate() {
            let pool = pool.clone();
            std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .stack_size(STACK_BYTES)
                .spawn(move || work(&pool, index, queue))?;
        }
        Ok(workers)
    }

    /// A pool without threads: tasks run in [`Workers::run_until_idle`], one at a time, in the order in which
    /// they were queued, or in [`Workers::drive`]. For tests and simulation.
    pub fn inline() -> Arc<Workers> {
        Arc::new(Workers { pool: Arc::new(Pool::new(Vec::new())) })
    }

    /// Whether somebody drives it, instead of threads of its own.
    pub(crate) fn is_inline(&self) -> bool {
        self.pool.stealers.is_empty()
    }

    /// Threads of the pool; of an inline pool, one.
    pub fn threads(&self) -> usize {
        self.pool.stealers.len().max(1)
    }

    /// Runs queued tasks on this thread until none is queued.
    pub fn run_until_idle(&self) {
        while let Some(task) = self.pool.shared_task() {
            task.run();
        }
    }

    /// Runs the tasks of an inline pool for as long as it is polled, so that a runtime can drive them.
    pub async fn drive(&self) {
        poll_fn(|context| {
            // First, so that what a task queues late is not missed.
            *self.pool.driver.lock() = Some(context.waker().clone());
            self.run_until_idle();
            Poll::Pending
        })
        .await
    }

    /// Queues a job. The waker that is returned wakes it from outside.
    pub fn spawn(&self, job: Box<dyn Job>) -> Waker {
        let task = Arc::new(Task {
            state: AtomicU8::new(QUEUED),
            job: Mutex::new(Some(job)),
            pool: Arc::downgrade(&self.pool),
        });
        self.pool.push(task.clone());
        Waker::from(task)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.pool.stopped.store(true, Ordering::SeqCst);
        let _guard = self.pool.sleep_lock.lock();
        self.pool.wake_up.notify_all();
    }
}

impl Pool {
    fn new(stealers: Vec<Stealer<Arc<Task>>>) -> Pool {
        Pool {
            injector: Injector::new(),
            stealers,
            sleeping: AtomicUsize::new(0),
            sleep_lock: Mutex::new(()),
            wake_up: Condvar::new(),
            driver: Mutex::new(None),
            stopped: AtomicBool::new(false),
        }
    }

    /// Queues a task: on this thread's own queue where it is a worker of this pool, else on the shared one.
    fn push(self: &Arc<Pool>, task: Arc<Task>) {
        let left = LOCAL.with_borrow(|local| match local {
            Some((pool, queue)) if *pool == Arc::as_ptr(self).addr() => {
                queue.push(task);
                None
            }
            _ => Some(task),
        });
        if let Some(task) = left {
            self.injector.push(task);
            if self.stealers.is_empty()
                && let Some(driver) = self.driver.lock().take()
            {
                driver.wake();
            }
        }
        // Either this sees the sleeper's count, or the sleeper sees the task: both come after a fence.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) > 0 {
            let _guard = self.sleep_lock.lock();
            self.wake_up.notify_one();
        }
    }

    fn shared_task(&self) -> Option<Arc<Task>> {
        steal_until_settled(|| self.injector.steal())
    }

    /// A task from the shared queue or from another worker's.
    fn find(&self, own: usize) -> Option<Arc<Task>> {
        self.shared_task().or_else(|| {
            let count = self.stealers.len();
            (1..count).find_map(|step| {
                let victim = &self.stealers[(own + step) % count];
                steal_until_settled(|| victim.steal())
            })
        })
    }

    /// Sleeps until there is something to do; returns at once where there is.
    fn sleep(&self, own: usize) -> Option<Arc<Task>> {
        let mut guard = self.sleep_lock.lock();
        self.sleeping.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let found = self.find(own);
        if found.is_none() && !self.stopped.load(Ordering::SeqCst) {
            self.wake_up.wait(&mut guard);
        }
        self.sleeping.fetch_sub(1, Ordering::Relaxed);
        found
    }
}

fn steal_until_settled(mut steal: impl FnMut() -> Steal<Arc<Task>>) -> Option<Arc<Task>> {
    loop {
        match steal() {
            Steal::Success(task) => return Some(task),
            Steal::Empty => return None,
            Steal::Retry => std::hint::spin_loop(),
        }
    }
}

/// The loop of a worker thread.
fn work(pool: &Arc<Pool>, index: usize, queue: Worker<Arc<Task>>) {
    /// Every so many tasks the shared queue comes first, so that a busy worker does not starve it.
    const SHARED_FIRST_EVERY: u32 = 16;
    LOCAL.set(Some((Arc::as_ptr(pool).addr(), queue)));
    let own_task = || LOCAL.with_borrow(|local| local.as_ref().and_then(|(_, queue)| queue.pop()));
    let mut turn: u32 = 0;
    while !pool.stopped.load(Ordering::Relaxed) {
        turn = turn.wrapping_add(1);
        let first = if turn.is_multiple_of(SHARED_FIRST_EVERY) { pool.shared_task() } else { None };
        let task = first.or_else(own_task).or_else(|| pool.find(index)).or_else(|| pool.sleep(index));
        if let Some(task) = task {
            task.run();
        }
    }
    // What is left holds memory and wakers; it goes with the pool.
    let queue = LOCAL.take();
    drop(queue);
}

impl Task {
    fn run(self: Arc<Task>) {
        // A swap, and in `wake` an exchange even where nothing changes: of the two the later sees the earlier,
        // so what was published before the wake-up is seen by this step, or the step is repeated.
        self.state.swap(RUNNING, Ordering::AcqRel);
        let waker = Waker::from(self.clone());
        let mut slot = self.job.lock();
        let status = match slot.as_mut() {
            None => JobStatus::Done,
            Some(job) => catch_unwind(AssertUnwindSafe(|| job.step(&waker))).unwrap_or_else(|panic| {
                let error = Error::Internal(format!("a task panicked: {}", panic_message(&*panic)));
                // A second panic has nothing to tell beyond the first.
                let _ = catch_unwind(AssertUnwindSafe(|| job.panicked(error)));
                JobStatus::Done
            }),
        };
        match status {
            JobStatus::Done => {
                self.state.store(DONE, Ordering::Release);
                let job = slot.take();
                drop(slot);
                // A panic while state is dropped must not end the worker.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(job)));
            }
            JobStatus::Again => {
                drop(slot);
                self.state.swap(QUEUED, Ordering::AcqRel);
                self.requeue();
            }
            JobStatus::Blocked => {
                drop(slot);
                let idle = self.state.compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire);
                if idle.is_err() {
                    self.state.swap(QUEUED, Ordering::AcqRel);
                    self.requeue();
                }
            }
        }
    }

    fn requeue(self: Arc<Task>) {
        if let Some(pool) = self.pool.upgrade() {
            pool.push(self);
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Task>) {
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            let next = match state {
                IDLE => QUEUED,
                RUNNING => NOTIFIED,
                DONE => return,
                queued_or_notified => queued_or_notified,
            };
            match self.state.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(IDLE) => return self.requeue(),
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::waiters::Waiters;
    use std::collections::VecDeque;
    use std::pin::pin;
    use std::sync::mpsc::{Sender, channel};
    use std::task::Context;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A job of a closure; reports its end, or the panic's message.
    struct TestJob<F>(F, Sender<Option<String>>);

    impl<F: FnMut(&Waker) -> JobStatus + Send> Job for TestJob<F> {
        fn step(&mut self, waker: &Waker) -> JobStatus {
            let status = (self.0)(waker);
            if status == JobStatus::Done {
                let _ = self.1.send(None);
            }
            status
        }

        fn panicked(&mut self, error: Error) {
            let _ = self.1.send(Some(error.to_string()));
        }
    }

    #[derive(Default)]
    struct Channel {
        items: VecDeque<u64>,
        closed: bool,
        waiters: Waiters,
    }

    /// Jobs pass numbers along a chain of channels, one a time, blocking on each: every number arrives.
    #[test]
    fn no_wake_up_is_lost_between_tasks() {
        for threads in [1, 2, 4] {
            let workers = Workers::new(threads).unwrap();
            let (done, ended) = channel();
            let (stages, items) = (8, 3000_u64);
            let channels: Vec<Arc<Mutex<Channel>>> = (0..=stages).map(|_| Arc::default()).collect();
            for stage in 0..stages {
                let (from, to) = (channels[stage].clone(), channels[stage + 1].clone());
                let job = move |waker: &Waker| {
                    let item = {
                        let mut from = from.lock();
                        match from.items.pop_front() {
                            Some(item) => Some(item),
                            None if from.closed => None,
                            None => {
                                from.waiters.add(waker);
                                return JobStatus::Blocked;
                            }
                        }
                    };
                    let mut to = to.lock();
                    to.items.extend(item);
                    to.closed |= item.is_none();
                    let waiters = to.waiters.take();
                    drop(to);
                    waiters.wake();
                    if item.is_none() { JobStatus::Done } else { JobStatus::Again }
                };
                workers.spawn(Box::new(TestJob(job, done.clone())));
            }
            let first = channels[0].clone();
            for item in 0..items {
                let mut first = first.lock();
                first.items.push_back(item);
                let waiters = first.waiters.take();
                drop(first);
                waiters.wake();
            }
            let mut state = first.lock();
            state.closed = true;
            let waiters = state.waiters.take();
            drop(state);
            waiters.wake();
            for _ in 0..stages {
                assert_eq!(ended.recv_timeout(PATIENCE).unwrap(), None);
            }
            let arrived: Vec<u64> = channels[stages].lock().items.iter().copied().collect();
            assert_eq!(arrived, (0..items).collect::<Vec<_>>());
        }
    }

    /// Every wake-up from another thread is followed by a step that sees what was published before it.
    #[test]
    fn no_wake_up_from_outside_is_lost() {
        let workers = Workers::new(2).unwrap();
        let (done, ended) = channel();
        let published = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(AtomicUsize::new(0));
        let rounds = 20_000;
        let job = {
            let (published, seen) = (published.clone(), seen.clone());
            move |_: &Waker| {
                seen.store(published.load(Ordering::Relaxed), Ordering::Release);
                if seen.load(Ordering::Relaxed) == rounds { JobStatus::Done } else { JobStatus::Blocked }
            }
        };
        let waker = workers.spawn(Box::new(TestJob(job, done)));
        for round in 1..=rounds {
            published.store(round, Ordering::Relaxed);
            waker.wake_by_ref();
            let start = std::time::Instant::now();
            while round % 4 == 0 && seen.load(Ordering::Acquire) < round {
                assert!(start.elapsed() < PATIENCE, "round {round} was never seen");
                std::hint::spin_loop();
            }
        }
        assert_eq!(ended.recv_timeout(PATIENCE).unwrap(), None);
    }

    #[test]
    fn a_task_runs_once_at_a_time_however_often_it_is_woken() {
        let workers = Workers::new(4).unwrap();
        let (done, ended) = channel();
        let inside = Arc::new(AtomicUsize::new(0));
        let mut steps = 0;
        let job = move |waker: &Waker| {
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
            waker.wake_by_ref();
            std::thread::yield_now();
            inside.fetch_sub(1, Ordering::SeqCst);
            steps += 1;
            match steps {
                5_000 => JobStatus::Done,
                _ if steps % 2 == 0 => JobStatus::Again,
                _ => JobStatus::Blocked,
            }
        };
        let waker = workers.spawn(Box::new(TestJob(job, done)));
        for _ in 0..3 {
            let waker = waker.clone();
            std::thread::spawn(move || (0..20_000).for_each(|_| waker.wake_by_ref()));
        }
        assert_eq!(ended.recv_timeout(PATIENCE).unwrap(), None);
        waker.wake();
    }

    #[test]
    fn a_panic_ends_its_task_and_no_other() {
        let workers = Workers::new(1).unwrap();
        let (done, ended) = channel();
        workers.spawn(Box::new(TestJob(|_: &Waker| panic!("planted {}", 7), done.clone())));
        let message = ended.recv_timeout(PATIENCE).unwrap().unwrap();
        assert!(message.contains("planted 7"), "{message}");
        workers.spawn(Box::new(TestJob(|_: &Waker| JobStatus::Done, done)));
        assert_eq!(ended.recv_timeout(PATIENCE).unwrap(), None);
    }

    #[test]
    fn an_inline_pool_runs_in_order_when_asked() {
        let workers = Workers::inline();
        let (done, ended) = channel();
        let mut turns = 3;
        let counts_down = move |_: &Waker| {
            turns -= 1;
            if turns == 0 { JobStatus::Done } else { JobStatus::Again }
        };
        workers.spawn(Box::new(TestJob(counts_down, done.clone())));
        let sleeper = workers.spawn(Box::new(TestJob(|_: &Waker| JobStatus::Blocked, done)));
        assert!(ended.try_recv().is_err());
        workers.run_until_idle();
        assert_eq!(ended.try_recv().unwrap(), None);
        assert!(ended.try_recv().is_err());
        drop(sleeper);
    }

    #[test]
    fn an_inline_pool_wakes_who_drives_it() {
        struct Count(AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Count>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (workers, woken) = (Workers::inline(), Arc::new(Count(AtomicUsize::new(0))));
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        let (done, ended) = channel();
        let mut driving = pin!(workers.drive());
        assert!(driving.as_mut().poll(&mut context).is_pending());
        workers.spawn(Box::new(TestJob(|_: &Waker| JobStatus::Done, done)));
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(ended.try_recv().is_err());
        assert!(driving.as_mut().poll(&mut context).is_pending());
        assert_eq!(ended.try_recv().unwrap(), None);
    }

    #[test]
    fn dropping_the_pool_ends_its_threads() {
        let workers = Workers::new(3).unwrap();
        let pool = Arc::downgrade(&workers.pool);
        drop(workers);
        let start = std::time::Instant::now();
        while pool.strong_count() > 0 {
            assert!(start.elapsed() < PATIENCE, "threads live on");
            std::thread::yield_now();
        }
    }
}
