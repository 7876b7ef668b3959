package remote

import (
	"context"
	"fmt"
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
	// maxSessionPause is less: a plugin that is killed again and again serves
	// between the kills.
	maxSessionPause = 200 * time.Millisecond
)

// sessionWait is how long a call that waits for events waits for a session before
// it fails.
const sessionWait = time.Second

// pipelines is how many calls of gathered operations a link has in flight at
// least, whether or not the plugin's driver gains by gathering.
const pipelines = 2

// maxPipelines bounds what a plugin may claim to gain from.
const maxPipelines = 1 << 10

// updatePause is the least time between updates of a description.
const updatePause = 50 * time.Millisecond

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
		l.Pipelines = min(l.Pipelines, maxPipelines)
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
		asked := time.Now()
		r, err := s.Control.Describe(ctx, &pluginpb.DescribeRequest{Session: s.ID, Token: s.Token, Generation: generation})
		if err == nil {
			err = checkDescription(r.Description)
		}
		switch {
		case p.life.Err() != nil:
			return // Close needs the link: it waits for the plugin's last answer
		case err != nil:
			// A session does not work without its control plane.
			s.Link.Break(fmt.Errorf("the plugin does not describe its backend: %w", fromStatus(ctx, err)))
			return
		}
		if now := r.Description.GetGeneration(); now == generation {
			await.Pause(ctx, sessionWait) // the plugin should have waited
		} else {
			generation = now
			p.Update(hostDescription(r.Description))
			if time.Since(asked) < updatePause {
				await.Pause(ctx, updatePause)
			}
		}
	}
}

// keepSession opens a new session whenever one breaks: at once, or after a growing
// pause while the sessions are shorter than the pauses before them.
func (p *provider) keepSession() {
	pause := time.Duration(0)
	for {
		s, _, _ := p.currentSession()
		if s == nil {
			return // closed
		}
		began := time.Now()
		select {
		case <-s.Link.Done():
		case <-p.life.Done():
			return
		}
		if time.Since(began) > 2*pause { // it served: the plugin ended later
			pause = 0
		}
		cause := s.Link.Err()
		p.setSession(nil, fairlead.Errorf(fairlead.Unavailable, "the host is reconnecting to the plugin: %w", cause))
		p.log.Warn("the connection to a plugin is lost; reconnecting", "error", cause)
		if pause > 0 && !await.Pause(p.life, pause/2+rand.N(pause)) {
			return
		}
		pause = min(max(2*pause, minPause), maxSessionPause)
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
		// Whatever the code is: the host tries again, and the cause may be removed.
		p.setSession(nil, fairlead.Errorf(fairlead.Unavailable, "the plugin is not available: %w", err))
		select {
		case <-p.life.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
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
		err = s.close(ctx)
		s.Link.Close()
	}
	p.goroutines.Wait()
	p.setSession(nil, errClosed())
	return err
}
