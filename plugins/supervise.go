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
	// drainTimeout is how long a plugin may take to end.
	drainTimeout = 10 * time.Second
	// lastWords is how long a plugin that does not answer may take to end by
	// itself, and to say why.
	lastWords = time.Second
)

// supervisor keeps one plugin running as long as somebody uses it.
type supervisor struct {
	*options
	name    string
	launch  func(context.Context) (*process.Process, error)
	metrics *metrics

	mu      sync.Mutex
	users   int
	idling  *time.Timer        // ends the plugin that nobody uses
	end     context.CancelFunc // ends the run; nil if there is none
	hurry   context.CancelFunc // cuts the end of the last run short
	done    chan struct{}      // closed at the end of the last run
	status  Status
	running *process.Process
	changed chan struct{} // closed and replaced when the status changes
	retry   chan struct{} // wakes a run that waits in a crash loop
}

func newSupervisor(name string, o *options, m *metrics, launch func(context.Context) (*process.Process, error)) *supervisor {
	return &supervisor{
		options: o, name: name, launch: launch, metrics: m,
		status:  Status{Name: name, State: Stopped, Since: time.Now()},
		changed: make(chan struct{}),
		retry:   make(chan struct{}, 1),
	}
}

// use starts the plugin if it does not run. Every use needs an unuse.
func (s *supervisor) use() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users++
	if s.idling != nil {
		s.idling.Stop()
	}
	switch {
	case s.end == nil:
		s.begin()
	case s.status.State == Failed:
		s.set(Starting, nil)
		select {
		case s.retry <- struct{}{}:
		default: // somebody did already
		}
	}
}

// begin starts a run, which begins when the last one has ended: there is one
// process at a time.
func (s *supervisor) begin() {
	ctx, end := context.WithCancel(context.Background())
	patience, hurry := context.WithCancel(context.Background())
	last, done := s.done, make(chan struct{})
	s.end, s.hurry, s.done = end, hurry, done
	s.set(Starting, nil)
	go func() {
		defer close(done)
		defer hurry()
		if last != nil {
			<-last
		}
		s.run(ctx, patience)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.done == done { // else the next run waits
			s.set(Stopped, nil)
		}
	}()
}

// unuse ends the plugin if nobody uses it any more.
func (s *supervisor) unuse(ctx context.Context) {
	s.mu.Lock()
	s.users--
	last := s.users == 0
	if last && s.idle > 0 {
		s.idling = time.AfterFunc(s.idle, func() { s.stop(context.Background(), false) })
		last = false
	}
	s.mu.Unlock()
	if last {
		s.stop(ctx, false)
	}
}

// stop ends the run, and waits until it has ended; unless somebody uses the
// plugin and nobody forces it. When the context ends first, the plugin is
// killed.
func (s *supervisor) stop(ctx context.Context, force bool) {
	s.mu.Lock()
	if s.users > 0 && !force {
		s.mu.Unlock()
		return
	}
	end, hurry, done := s.end, s.hurry, s.done
	s.end = nil
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
		hurry()
		<-done
	}
}

// run starts the plugin again and again until the context ends. It then waits
// for the plugin's end as long as patience does.
func (s *supervisor) run(ctx, patience context.Context) {
	var starts []time.Time
	for ctx.Err() == nil {
		starts = append(since(starts, s.restart.Window), time.Now())
		err := s.live(ctx, patience)
		if ctx.Err() != nil {
			return
		}
		if len(starts) < s.restart.MaxStarts && mayPass(err) {
			s.pause(ctx, len(starts), err)
			continue
		}
		starts = nil
		s.cool(ctx, err)
	}
}

// mayPass reports whether another start may succeed.
func mayPass(err error) bool {
	var e *fairlead.Error
	return !errors.As(err, &e) || e.Code == fairlead.Unavailable
}

// since returns those of the times that are within the window.
func since(times []time.Time, window time.Duration) []time.Time {
	for len(times) > 0 && time.Since(times[0]) > window {
		times = times[1:]
	}
	return times
}

// pauseAfter returns the pause before the next start. n counts the starts within
// the window. Half of the pause is random's, which returns a time below its
// argument.
func (p RestartPolicy) pauseAfter(n int, random func(time.Duration) time.Duration) time.Duration {
	pause := p.MinPause
	for ; n > 1 && pause < p.MaxPause; n-- {
		pause += min(pause, p.MaxPause-pause)
	}
	return pause/2 + random(pause/2+1)
}

// pause waits before the next start. n counts the starts within the window.
func (s *supervisor) pause(ctx context.Context, n int, err error) {
	pause := s.restart.pauseAfter(n, rand.N[time.Duration])
	s.update(Restarting, err)
	s.log.Warn("a plugin has ended and is started anew", "plugin", s.name, "pause", pause, "error", err)
	select {
	case <-time.After(pause):
	case <-ctx.Done():
	}
}

// cool waits until it is worth while to try a plugin again that does not start.
func (s *supervisor) cool(ctx context.Context, err error) {
	s.update(Failed, err)
	s.log.Error("a plugin fails", "plugin", s.name, "again in", s.restart.Cooldown, "error", err)
	select {
	case <-time.After(s.restart.Cooldown):
	case <-s.retry:
	case <-ctx.Done():
	}
}

// live is one life of the plugin. It returns why it ended.
func (s *supervisor) live(ctx, patience context.Context) error {
	s.update(Starting, nil)
	p, err := s.launch(ctx)
	if err != nil {
		return err
	}
	s.born(p)
	err = s.watch(ctx, p)
	s.gone()
	if err == nil {
		patience, cancel := context.WithTimeout(patience, drainTimeout)
		defer cancel()
		if err = p.Stop(patience); p.State() != "exit status 0" {
			s.log.Warn("a plugin did not end well", "plugin", s.name, "state", p.State())
		}
	} else {
		err = errors.Join(err, p.Kill())
	}
	if err != nil {
		return fmt.Errorf("plugin %s: %w", s.name, err)
	}
	return nil
}

// born makes the process the running one.
func (s *supervisor) born(p *process.Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = p
	s.status.Generation++
	if s.status.Generation > 1 {
		s.status.Restarts++
	}
	s.set(Running, nil)
	s.metrics.up(s.name, s.status.Generation > 1)
	s.log.Info("a plugin runs", "plugin", s.name, "pid", p.PID(), "generation", s.status.Generation)
}

// gone says that there is no running process.
func (s *supervisor) gone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = nil
	s.metrics.down(s.name)
}

// watch returns nil when the context ends, and why the plugin is of no use any
// more when it is not.
func (s *supervisor) watch(ctx context.Context, p *process.Process) error {
	ticker := time.NewTicker(s.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.Exited():
			return ended(p)
		case <-p.Lost():
			return s.whyLost(p, errors.New("its Lifetime stream has ended"))
		case <-ticker.C:
			check, cancel := context.WithTimeout(ctx, s.timeout)
			err := p.Check(check)
			cancel()
			if err != nil && ctx.Err() == nil {
				return s.whyLost(p, fmt.Errorf("it does not answer as a healthy one: %w", err))
			}
		}
	}
}

// whyLost prefers what the process itself says.
func (s *supervisor) whyLost(p *process.Process, err error) error {
	select {
	case <-p.Exited():
		return ended(p)
	case <-time.After(lastWords):
		return fmt.Errorf("%w%s", err, process.LastLines(p.Stderr()))
	}
}

func ended(p *process.Process) error {
	return fmt.Errorf("it ended (%s)%s", p.State(), process.LastLines(p.Stderr()))
}

func (s *supervisor) update(state State, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(state, err)
}

// set changes the status. An error stays until the next one.
func (s *supervisor) set(state State, err error) {
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

func (s *supervisor) report() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}
