package mutants

import (
	"context"
	"sync"

	"fairlead.dev"
	configdriver "fairlead.dev/config/driver"
	"fairlead.dev/conformance"
)

// configRestartMutants do not survive the restart of their backend.
var configRestartMutants = []Mutant{
	outageMutant(Mutant{
		Name: "config-restart-quiet", Breaks: "Next waits for ever once the backend was down", CaughtBy: cases("config/restart-next", "config/restart-watch"),
	}, &outage{next: func(ctx context.Context, o *outage, s source, version string) (configdriver.Snapshot, error) {
		state, err := o.healthyNext(ctx, s, version)
		if o.killed() {
			<-ctx.Done()
		}
		return state, err
	}}),
	outageMutant(Mutant{
		Name: "config-restart-misses", Breaks: "Next waits for a change from now on once the backend was down", CaughtBy: cases("config/restart-next"),
	}, &outage{next: func(ctx context.Context, o *outage, s source, version string) (configdriver.Snapshot, error) {
		if now, err := s.portable.Snapshot(ctx); err == nil && o.restarted() {
			version = now.Version
		}
		return o.healthyNext(ctx, s, version)
	}}),
	outageMutant(Mutant{
		Name: "config-restart-loses", Breaks: "what was set is lost when the backend is killed, though durability is claimed",
		CaughtBy: cases("config/durable-fsync", "config/durable-quorum"),
	}, &outage{state: func(s *configdriver.Snapshot) { delete(s.Values, "k7") }}),
}

// outage is the backend of a mutant, which can be down. It is its control.
type outage struct {
	next  func(ctx context.Context, o *outage, s source, version string) (configdriver.Snapshot, error)
	state func(*configdriver.Snapshot) // after a restart

	mu    sync.Mutex
	down  chan struct{} // closed while the backend is down
	kills int
}

// outageMutant makes the mutant, which claims durability.
func outageMutant(m Mutant, o *outage) Mutant {
	o.down = make(chan struct{})
	m.Control = func() conformance.Control { return o }
	m.Open = configuredBy(configProvider{
		wrap: o.wrap,
		describe: func(f *fairlead.FacetDescription) {
			f.Missing = nil
			f.Claims = append(f.Claims, fairlead.DurableFsync, fairlead.DurableQuorum)
		},
	})
	return m
}

// Kill implements [conformance.Control].
func (o *outage) Kill(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.down)
	o.kills++
	return nil
}

// Start implements [conformance.Control].
func (o *outage) Start(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down = make(chan struct{})
	return nil
}

func (o *outage) killed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.kills > 0
}

func (o *outage) restarted() bool { return o.killed() && o.ready() == nil }

// ready returns an error while the backend is down.
func (o *outage) ready() error {
	select {
	case <-o.ends():
		return fairlead.Errorf(fairlead.Unavailable, "the backend is down")
	default:
		return nil
	}
}

// ends returns a channel that is closed when the backend is killed.
func (o *outage) ends() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.down
}

func (o *outage) wrap(s source) configdriver.Source {
	inner := s
	s.set = func(ctx context.Context, changes []configdriver.Change) (string, error) {
		if err := o.ready(); err != nil {
			return "", err
		}
		return inner.portable.Set(ctx, changes...)
	}
	s.next = func(ctx context.Context, version string) (configdriver.Snapshot, error) {
		if o.next != nil {
			return o.next(ctx, o, inner, version)
		}
		return o.healthyNext(ctx, inner, version)
	}
	if o.state != nil {
		s.state = func(state *configdriver.Snapshot) {
			if o.restarted() {
				o.state(state)
			}
		}
	}
	return outageSource{s, o}
}

// healthyNext is a correct Next.
func (o *outage) healthyNext(ctx context.Context, s source, version string) (configdriver.Snapshot, error) {
	if err := o.ready(); err != nil {
		return configdriver.Snapshot{}, err
	}
	ends := o.ends()
	untilOutage, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-ends:
			cancel()
		case <-untilOutage.Done():
		}
	}()
	state, err := s.portable.Next(untilOutage, version)
	if err != nil && ctx.Err() == nil && o.ready() != nil {
		return state, o.ready()
	}
	return state, err
}

type outageSource struct {
	source
	*outage
}

func (s outageSource) Snapshot(ctx context.Context) (configdriver.Snapshot, error) {
	if err := s.ready(); err != nil {
		return configdriver.Snapshot{}, err
	}
	return s.source.Snapshot(ctx)
}
