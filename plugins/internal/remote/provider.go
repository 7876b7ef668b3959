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
	minPause = 50 * time.Millisecond
	maxPause = 5 * time.Second
)

// sessionWait is how long a call that waits for events waits for a session before
// it fails.
const sessionWait = time.Second

// pipelines is how many calls of gathered operations a link has in flight at
// least, whether or not the plugin's driver gains by gathering.
const pipelines = 2

// Provider is a provider in another process. It has the methods of every facet;
// its description says which facets the plugin offers.
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
	openSession func(context.Context) (*Session, error)
	log         *slog.Logger
	life        context.Context
	endLife     context.CancelFunc
	goroutines  sync.WaitGroup

	mu      sync.Mutex
	session *Session      // nil while there is none
	number  uint64        // of the session, from 1
	err     error         // why there is no session
	changed chan struct{} // closed and replaced when session changes
}

// New returns a provider over the sessions that open makes: the first one at once,
// and another whenever one has broken.
func New(ctx context.Context, open func(context.Context) (*Session, error), log *slog.Logger) (Provider, error) {
	s, err := open(ctx)
	if err != nil {
		return nil, err
	}
	p := &provider{
		Live: providers.NewLive(hostDescription(s.Description)), openSession: open, log: log,
		changed: make(chan struct{}),
	}
	p.life, p.endLife = context.WithCancel(context.Background())
	p.adoptSession(s)
	p.goroutines.Go(p.keepSession)
	return p, nil
}

// hostDescription returns the description that holds through the plugin. Where a
// driver takes several operations at once, callers share calls. That saves more on
// the wire than sharing frames does.
func hostDescription(d *pluginpb.Description) fairlead.Description {
	out := convert.ToDescription(d)
	for i := range out.Facets {
		l := &out.Facets[i].Limits
		if l.MaxBatch > 1 {
			l.Pipelines = max(l.Pipelines, pipelines)
		}
	}
	return out
}

// adoptSession makes s the present session.
func (p *provider) adoptSession(s *Session) {
	p.Update(hostDescription(s.Description))
	p.goroutines.Go(func() { p.followDescription(s) })
	p.setSession(s, nil)
}

func (p *provider) setSession(s *Session, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.session, p.err = s, err; s != nil {
		p.number++
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// followDescription keeps the description up to date while the session is open.
func (p *provider) followDescription(s *Session) {
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
			s.Link.Close() // a session does not work without its control plane
			return
		}
		if now := r.Description.GetGeneration(); now == generation {
			await.Pause(ctx, sessionWait) // the plugin should have waited
		} else {
			generation = now
			p.Update(hostDescription(r.Description))
		}
	}
}

// keepSession opens a new session whenever one breaks.
func (p *provider) keepSession() {
	for {
		s, _, _ := p.currentSession()
		if s == nil {
			return // closed
		}
		select {
		case <-s.Link.Done():
		case <-p.life.Done():
			return
		}
		p.setSession(nil, fairlead.Errorf(fairlead.Unavailable, "the connection to the plugin is lost; the host is reconnecting"))
		p.log.Warn("the connection to a plugin is lost; reconnecting")
		if s = p.reopenSession(); s == nil {
			return
		}
		p.adoptSession(s)
		p.log.Info("reconnected to a plugin")
	}
}

// reopenSession tries until it has opened a session. It returns nil if the provider
// is closed.
func (p *provider) reopenSession() *Session {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		s, err := p.openSession(p.life)
		switch {
		case p.life.Err() != nil:
			if err == nil {
				s.Link.Close()
			}
			return nil
		case err == nil:
			return s
		}
		p.setSession(nil, fairlead.Errorf(openErrorCode(err), "the plugin is not available: %w", err))
		select {
		case <-p.life.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// openErrorCode returns the code that callers get for a failure to open a session.
// Their own calls were not applied, whatever the code of the failure says.
func openErrorCode(err error) fairlead.Code {
	switch c := fairlead.CodeOf(err); c {
	case fairlead.DeadlineExceeded, fairlead.Canceled, fairlead.UnknownOutcome:
		return fairlead.Unavailable
	default:
		return c
	}
}

// currentSession returns the present session and its number.
func (p *provider) currentSession() (*Session, uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.Err() != nil {
		return nil, 0, errClosed()
	}
	return p.session, p.number, p.err
}

func errClosed() error { return fairlead.Errorf(fairlead.Closed, "the provider is closed") }

// awaitSession waits up to sessionWait for a session.
func (p *provider) awaitSession(ctx context.Context) {
	timer := time.NewTimer(sessionWait)
	defer timer.Stop()
	for {
		p.mu.Lock()
		found, changed := p.session != nil, p.changed
		p.mu.Unlock()
		if found {
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

// isVolatile reports whether stored data is lost with a session.
func (p *provider) isVolatile() bool {
	d, err := p.Live.Describe(context.Background())
	return err == nil && d.Volatile
}

// callProvider makes a call that needs no handle.
func (p *provider) callProvider(ctx context.Context, c *pluginpb.Call, write bool) (*pluginpb.Reply, error) {
	s, _, err := p.currentSession()
	if err != nil {
		return nil, err
	}
	return p.callInSession(ctx, s, c, write, nil)
}

// Close implements [fairlead.Provider].
func (p *provider) Close(ctx context.Context) error {
	if !p.Shut() {
		return nil
	}
	s, _, _ := p.currentSession()
	p.endLife()
	var err error
	if s != nil {
		_, err = s.Control.Close(ctx, &pluginpb.CloseRequest{Session: s.ID})
		select {
		case <-s.Link.Done(): // the plugin is gone already
			err = nil
		default:
		}
		s.Link.Close()
	}
	p.goroutines.Wait()
	p.setSession(nil, errClosed())
	if err != nil {
		return fromStatus(ctx, err)
	}
	return nil
}
