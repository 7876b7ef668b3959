package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc/resolver"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/rpc/driver"
)

// directoryScheme is that of the targets which directories resolve.
const directoryScheme = "fairlead"

// directoryResolver tells gRPC the endpoints of a service.
type directoryResolver struct {
	directory driver.Directory
	service   string
	dialed    time.Time
	closed    func() // is called when the provider has been closed
}

// Scheme implements [resolver.Builder].
func (*directoryResolver) Scheme() string { return directoryScheme }

// Build implements [resolver.Builder].
func (d *directoryResolver) Build(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	life, end := context.WithCancel(context.Background())
	r := &resolving{directoryResolver: d, cc: cc, end: end, ended: make(chan struct{})}
	go r.run(life)
	return r, nil
}

// resolving is the watch of one gRPC connection. gRPC ends it while the
// connection is idle, and begins another.
type resolving struct {
	*directoryResolver
	cc    resolver.ClientConn
	end   context.CancelFunc
	ended chan struct{}
	known bool // something was told
}

// ResolveNow implements [resolver.Resolver]. What is known is up to date.
func (*resolving) ResolveNow(resolver.ResolveNowOptions) {}

// Close implements [resolver.Resolver].
func (r *resolving) Close() {
	r.end()
	<-r.ended
}

func (r *resolving) run(life context.Context) {
	defer close(r.ended)
	w, err := r.open(life)
	if err != nil {
		return
	}
	defer func() { _ = soon(w.Close) }()
	for life.Err() == nil {
		endpoints, err := w.Next(life)
		if err == nil && len(endpoints) == 0 && !r.known {
			endpoints = r.newcomers(life, w)
		}
		if err == nil {
			r.tell(endpoints)
		} else if !r.retry(life, err) {
			return
		}
	}
}

// newcomers waits for the first server of a service that was dialled just now.
func (r *resolving) newcomers(life context.Context, w driver.EndpointWatcher) []driver.Endpoint {
	ctx, cancel := context.WithDeadline(life, r.dialed.Add(connecting))
	defer cancel()
	endpoints, _ := w.Next(ctx) // an error that lasts comes again
	return endpoints
}

// open tries until there is a watcher.
func (r *resolving) open(life context.Context) (driver.EndpointWatcher, error) {
	for {
		w, err := r.directory.WatchEndpoints(life, driver.WatchConfig{Service: r.service})
		if err == nil || !r.retry(life, err) {
			return w, err
		}
	}
}

// retry waits before another attempt, and reports whether there is to be one.
// While nothing is known, calls fail with the error.
func (r *resolving) retry(life context.Context, err error) bool {
	if life.Err() != nil {
		return false
	}
	if !r.known {
		r.cc.ReportError(toRPCError(err))
	}
	if fairlead.CodeOf(err) == fairlead.Closed {
		go r.closed() // it waits for this goroutine
		return false
	}
	await.Pause(life, retryPause)
	return true
}

// retryPause is how long is waited before a directory is asked again.
const retryPause = 100 * time.Millisecond

// tell passes the endpoints on. If there are none it passes one on whose
// connecting fails: gRPC has no other way to give calls a reason.
func (r *resolving) tell(endpoints []driver.Endpoint) {
	r.known = true
	if len(endpoints) == 0 {
		endpoints = []driver.Endpoint{{Address: nobodyPrefix + r.service}}
	}
	var state resolver.State
	for _, e := range endpoints {
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: e.Address}}})
	}
	_ = r.cc.UpdateState(state) // fails for no endpoints alone
}
