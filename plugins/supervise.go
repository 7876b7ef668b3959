package plugins

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/process"
)

const (
	// stopTimeout is how long a plugin may take to end.
	stopTimeout = 10 * time.Second
	// lastWordsTimeout is how long a plugin that does not answer has to end by
	// itself and to write why.
	lastWordsTimeout = time.Second
)

// supervisor keeps one plugin running while providers use it.
type supervisor struct {
	*options
	name    string
	launch  func(context.Context) (*process.Process, error)
	metrics *metrics

	mu        sync.Mutex
	users     int
	idleTimer *time.Timer        // ends the plugin when it is not used
	endRun    context.CancelFunc // ends the run; nil if there is none
	killNow   context.CancelFunc // cuts the end of the last run short
	done      chan struct{}      // closed at the end of the last run
	status    Status
	running   *process.Process
	changed   chan struct{} // closed and replaced when the status changes
	retry     chan struct{} // wakes a run that waits in a crash loop
}

func newSupervisor(name string, o *options, m *metrics, launch func(context.Context) (*process.Process, error)) *supervisor {
	return &supervisor{
		options: o, name: name, launch: launch, metrics: m,
		status:  Status{Name: name, State: Stopped, Since: time.Now()},
		changed: make(chan struct{}),
		retry:   make(chan struct{}, 1),
	}
}

// acquire counts a use of the plugin, and starts the plugin unless it runs. Each
// call needs a call of releaseUse.
func (s *supervisor) acquire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users++
	if s.idleTimer != nil {
		s.idleTimer.Stop()
	}
	switch {
	case s.endRun == nil:
		s.startRun()
	case s.status.State == Failed:
		s.setStateLocked(Starting, nil)
		select {
		case s.retry <- struct{}{}:
		default: // the run was woken already
		}
	}
}

// startRun starts a run. The run begins when the previous one has ended: there is
// one process at a time.
func (s *supervisor) startRun() {
	ctx, end := context.WithCancel(context.Background())
	stopping, killNow := context.WithCancel(context.Background())
	last, done := s.done, make(chan struct{})
	s.endRun, s.killNow, s.done = end, killNow, done
	s.setStateLocked(Starting, nil)
	go func() {
		defer close(done)
		defer killNow()
		if last != nil {
			<-last
		}
		s.restartUntilDone(ctx, stopping)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.done == done { // otherwise the next run is waiting
			s.setStateLocked(Stopped, nil)
		}
	}()
}

// releaseUse takes back a use of the plugin. The plugin ends after the last one.
func (s *supervisor) releaseUse(ctx context.Context) {
	s.mu.Lock()
	s.users--
	last := s.users == 0
	if last && s.idleTime > 0 {
		s.idleTimer = time.AfterFunc(s.idleTime, func() { s.stopRun(context.Background(), false) })
		last = false
	}
	s.mu.Unlock()
	if last {
		s.stopRun(ctx, false)
	}
}

// stopRun ends the run and waits until it has ended. It does nothing if the plugin
// is in use, unless force is set. When the context ends first, the plugin is
// killed.
func (s *supervisor) stopRun(ctx context.Context, force bool) {
	s.mu.Lock()
	if s.users > 0 && !force {
		s.mu.Unlock()
		return
	}
	end, killNow, done := s.endRun, s.killNow, s.done
	s.endRun = nil
	s.mu.Unlock()
	if end != nil {
		end()
	}
	if done == nil {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
		killNow()
		<-done
	}
}

// restartUntilDone runs the plugin, and restarts it when it has ended, until the
// context ends. It then waits for the plugin's end, at most until the stopping
// context ends.
func (s *supervisor) restartUntilDone(ctx, stopping context.Context) {
	var starts []time.Time
	for ctx.Err() == nil {
		starts = append(withinWindow(starts, s.restart.Window), time.Now())
		launching, err := s.runProcess(ctx, stopping)
		if ctx.Err() != nil {
			return
		}
		for i := range starts { // the window does not count the time of a launch
			starts[i] = starts[i].Add(launching)
		}
		if len(starts) < s.restart.MaxStarts && isTransient(err) && !process.IsTimeout(err) {
			s.awaitRestart(ctx, len(starts), err)
			continue
		}
		starts = nil
		s.awaitCooldown(ctx, err)
	}
}

// isTransient reports whether another start may succeed without any change.
func isTransient(err error) bool {
	var e *fairlead.Error
	return !errors.As(err, &e) || e.Code == fairlead.Unavailable
}

// withinWindow returns the times that are within the window before now.
func withinWindow(times []time.Time, window time.Duration) []time.Time {
	for len(times) > 0 && time.Since(times[0]) > window {
		times = times[1:]
	}
	return times
}

// pauseAfter returns the pause before the next start. n counts the starts within
// the window. random returns a duration below its argument, and determines half of
// the pause.
func (p RestartPolicy) pauseAfter(n int, random func(time.Duration) time.Duration) time.Duration {
	pause := p.MinPause
	for ; n > 1 && pause < p.MaxPause; n-- {
		pause += min(pause, p.MaxPause-pause)
	}
	return pause/2 + random(pause/2+1)
}

// awaitRestart waits before the next start. n counts the starts within the window.
func (s *supervisor) awaitRestart(ctx context.Context, n int, err error) {
	pause := s.restart.pauseAfter(n, rand.N[time.Duration])
	s.setState(Restarting, err)
	s.log.Warn("a plugin has ended; restarting", "plugin", s.name, "pause", pause, "error", err)
	select {
	case <-time.After(pause):
	case <-ctx.Done():
	}
}

// awaitCooldown waits until a plugin that does not start or stay alive may be tried
// again: for the cooldown, or until the next Open.
func (s *supervisor) awaitCooldown(ctx context.Context, err error) {
	s.setState(Failed, err)
	s.log.Error("a plugin has failed", "plugin", s.name, "retry in", s.restart.Cooldown, "error", err)
	select {
	case <-time.After(s.restart.Cooldown):
	case <-s.retry:
	case <-ctx.Done():
	}
}

// runProcess launches the plugin and watches it until its end. It returns how long
// the launch took, and why the process ended.
func (s *supervisor) runProcess(ctx, stopping context.Context) (launching time.Duration, err error) {
	s.setState(Starting, nil)
	began := time.Now()
	p, err := s.launch(ctx)
	launching = time.Since(began)
	if err != nil {
		return launching, err
	}
	s.markRunning(p)
	err = s.watchProcess(ctx, p)
	s.markGone()
	if err == nil {
		stopCtx, cancel := context.WithTimeout(stopping, stopTimeout)
		defer cancel()
		if err = p.Stop(stopCtx); p.State() != "exit status 0" {
			s.log.Warn("a plugin was stopped and did not exit with status 0", "plugin", s.name, "state", p.State())
		}
	} else {
		err = errors.Join(err, p.Kill())
	}
	if err != nil {
		return launching, fmt.Errorf("plugin %s: %w", s.name, err)
	}
	return launching, nil
}

// markRunning makes the process the running one.
func (s *supervisor) markRunning(p *process.Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = p
	s.status.Generation++
	if s.status.Generation > 1 {
		s.status.Restarts++
	}
	s.setStateLocked(Running, nil)
	s.metrics.recordUp(s.name, s.status.Generation > 1)
	s.log.Info("a plugin is running", "plugin", s.name, "pid", p.PID(), "generation", s.status.Generation)
}

// markGone records that no process is running.
func (s *supervisor) markGone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = nil
	s.metrics.recordDown(s.name)
}

// watchProcess waits until the process has ended or is unhealthy, and returns why.
// It returns nil when the context ends.
func (s *supervisor) watchProcess(ctx context.Context, p *process.Process) error {
	ticker := time.NewTicker(s.healthInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.Exited():
			return exitError(p)
		case <-p.Lost():
			return s.lossReason(p, errors.New("its Lifetime stream has ended"))
		case <-ticker.C:
			check, cancel := context.WithTimeout(ctx, s.healthTimeout)
			err := p.Check(check)
			cancel()
			if err != nil && ctx.Err() == nil {
				return s.lossReason(p, fmt.Errorf("it failed a health check: %w", err))
			}
		}
	}
}

// lossReason returns how the process ended if it ends soon, and otherwise err.
func (s *supervisor) lossReason(p *process.Process, err error) error {
	select {
	case <-p.Exited():
		return exitError(p)
	case <-time.After(lastWordsTimeout):
		return fmt.Errorf("%w%s", err, process.LastLines(p.Stderr()))
	}
}

func exitError(p *process.Process) error {
	return fmt.Errorf("it ended (%s)%s", p.State(), process.LastLines(p.Stderr()))
}

func (s *supervisor) setState(state State, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setStateLocked(state, err)
}

// setStateLocked changes the status. An error stays in the status until the next
// one.
func (s *supervisor) setStateLocked(state State, err error) {
	if s.status.State != state {
		s.status.State, s.status.Since = state, time.Now()
	}
	if err != nil {
		s.status.LastError = err
	}
	s.status.PID = 0
	if s.running != nil {
		s.status.PID = s.running.PID()
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *supervisor) currentStatus() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}
