package remote

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"fairlead.dev"
	configdriver "fairlead.dev/config/driver"
	"fairlead.dev/internal/await"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/providers"
	psdriver "fairlead.dev/pubsub/driver"
	rpcdriver "fairlead.dev/rpc/driver"
)

// The pauses between attempts to open a session.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// patience is how long a call that waits for something anyway waits for a
// session.
const patience = time.Second

// pipelines is how many calls of gathered operations a link has under way,
// whatever the driver behind it gains by gathering.
const pipelines = 2

// Provider is a provider in another process. It has the methods of every
// facet; its description says which are of use.
type Provider interface {
	kvdriver.Provider
	psdriver.Provider
	configdriver.Provider
	rpcdriver.Provider
	rpcdriver.Directory
}

// provider implements Provider.
type provider struct {
	*providers.Live
	open func(context.Context) (*Session, error)
	log  *slog.Logger
	life context.Context
	end  context.CancelFunc
	runs sync.WaitGroup

	mu      sync.Mutex
	session *Session      // nil while there is none
	number  uint64        // of the session, from 1
	err     error         // why there is none
	changed chan struct{} // closed and replaced when session changes
}

// New returns a provider over the sessions that open makes: one at once, and
// another whenever one broke.
func New(ctx context.Context, open func(context.Context) (*Session, error), log *slog.Logger) (Provider, error) {
	s, err := open(ctx)
	if err != nil {
		return nil, err
	}
	p := &provider{
		Live: providers.NewLive(describe(s.Description)), open: open, log: log,
		changed: make(chan struct{}),
	}
	p.life, p.end = context.WithCancel(context.Background())
	p.use(s)
	p.runs.Go(p.run)
	return p, nil
}

// describe returns what holds through the plugin. Where a driver takes several
// operations at once, callers share calls: that spares the wire more than their
// sharing of frames does.
func describe(d *pluginpb.Description) fairlead.Description {
	out := convert.ToDescription(d)
	for i := range out.Facets {
		l := &out.Facets[i].Limits
		if l.MaxBatch > 1 {
			l.Pipelines = max(l.Pipelines, pipelines)
		}
	}
	return out
}

// use makes s the present session.
func (p *provider) use(s *Session) {
	p.Update(describe(s.Description))
	p.runs.Go(func() { p.follow(s) })
	p.set(s, nil)
}

func (p *provider) set(s *Session, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.session, p.err = s, err; s != nil {
		p.number++
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// follow keeps the description up to date while the session lives.
func (p *provider) follow(s *Session) {
	ctx, cancel := context.WithCancel(p.life)
	defer cancel()
	go func() { // ends with the context
		select {
		case <-s.Link.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	for generation := s.Description.GetGeneration(); ; {
		r, err := s.Control.Describe(ctx, &pluginpb.DescribeRequest{Session: s.ID, Generation: generation})
		if err != nil {
			s.Link.Close() // without its control plane a session is of no use
			return
		}
		if now := r.Description.GetGeneration(); now == generation {
			await.Pause(ctx, patience) // a plugin that does not wait
		} else {
			generation = now
			p.Update(describe(r.Description))
		}
	}
}

// run opens a new session whenever one breaks.
func (p *provider) run() {
	for {
		s, _, _ := p.current()
		if s == nil {
			return // closed
		}
		select {
		case <-s.Link.Done():
		case <-p.life.Done():
			return
		}
		p.set(nil, fairlead.Errorf(fairlead.Unavailable, "the connection to the plugin is lost, and being made anew"))
		p.log.Warn("the connection to a plugin is lost, and being made anew")
		if s = p.reopen(); s == nil {
			return
		}
		p.use(s)
		p.log.Info("the connection to a plugin is there again")
	}
}

// reopen tries until there is a session, and returns nil if the provider is
// closed.
func (p *provider) reopen() *Session {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		s, err := p.open(p.life)
		switch {
		case p.life.Err() != nil:
			if err == nil {
				s.Link.Close()
			}
			return nil
		case err == nil:
			return s
		}
		p.set(nil, fairlead.Errorf(cmpCode(err), "the plugin is not there: %w", err))
		select {
		case <-p.life.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// cmpCode returns the code of a failure to open as callers get it: what they
// sent was not applied.
func cmpCode(err error) fairlead.Code {
	switch c := fairlead.CodeOf(err); c {
	case fairlead.DeadlineExceeded, fairlead.Canceled, fairlead.UnknownOutcome:
		return fairlead.Unavailable
	default:
		return c
	}
}

// current returns the present session and its number.
func (p *provider) current() (*Session, uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.Err() != nil {
		return nil, 0, closed()
	}
	return p.session, p.number, p.err
}

func closed() error { return fairlead.Errorf(fairlead.Closed, "the provider is closed") }

// wait waits a little for a session.
func (p *provider) wait(ctx context.Context) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		p.mu.Lock()
		there, changed := p.session != nil, p.changed
		p.mu.Unlock()
		if there {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		case <-p.life.Done():
			return
		}
	}
}

// volatile reports whether what is stored is lost with a session.
func (p *provider) volatile() bool {
	d, err := p.Live.Describe(context.Background())
	return err == nil && d.Volatile
}

// call makes a call that needs no handle.
func (p *provider) call(ctx context.Context, c *pluginpb.Call, write bool) (*pluginpb.Reply, error) {
	s, _, err := p.current()
	if err != nil {
		return nil, err
	}
	return p.do(ctx, s, c, write, nil)
}

// Close implements [fairlead.Provider].
func (p *provider) Close(ctx context.Context) error {
	if !p.Shut() {
		return nil
	}
	s, _, _ := p.current()
	p.end()
	var err error
	if s != nil {
		_, err = s.Control.Close(ctx, &pluginpb.CloseRequest{Session: s.ID})
		select {
		case <-s.Link.Done(): // gone already
			err = nil
		default:
		}
		s.Link.Close()
	}
	p.runs.Wait()
	p.set(nil, closed())
	if err != nil {
		return fromStatus(ctx, err)
	}
	return nil
}
