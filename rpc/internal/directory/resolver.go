package directory

import (
	"context"
	"time"

	"google.golang.org/grpc/resolver"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/rpc/driver"
	"fairlead.dev/rpc/internal/transport"
)

// resolverScheme is the URL scheme of gRPC targets that a directory resolves.
const resolverScheme = "fairlead"

// retryPause is the time between two attempts to reach the directory.
const retryPause = 100 * time.Millisecond

// resolverBuilder builds the resolvers of one [Conn].
type resolverBuilder struct {
	directory driver.Directory
	service   string
	dialed    time.Time
	onClosed  func() // called when the provider has been closed
}

// Scheme implements [resolver.Builder].
func (*resolverBuilder) Scheme() string { return resolverScheme }

// Build implements [resolver.Builder].
func (b *resolverBuilder) Build(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	life, end := context.WithCancel(context.Background())
	r := &endpointResolver{resolverBuilder: b, cc: cc, end: end, ended: make(chan struct{})}
	go r.watchEndpoints(life)
	return r, nil
}

// endpointResolver passes the endpoints of a service on to gRPC. gRPC closes it
// while the connection is idle, and builds another one afterwards.
type endpointResolver struct {
	*resolverBuilder
	cc       resolver.ClientConn
	end      context.CancelFunc
	ended    chan struct{}
	resolved bool // gRPC has a state
}

// ResolveNow implements [resolver.Resolver]. It does nothing, since the watch
// keeps the state up to date.
func (*endpointResolver) ResolveNow(resolver.ResolveNowOptions) {}

// Close implements [resolver.Resolver].
func (r *endpointResolver) Close() {
	r.end()
	<-r.ended
}

func (r *endpointResolver) watchEndpoints(life context.Context) {
	defer close(r.ended)
	w, err := r.openWatcher(life)
	if err != nil {
		return
	}
	defer func() { _ = transport.CloseWithTimeout(w.Close) }()
	for life.Err() == nil {
		endpoints, err := w.Next(life)
		if err == nil && len(endpoints) == 0 && !r.resolved {
			endpoints = r.awaitFirstServer(life, w)
		}
		if err == nil {
			r.updateState(endpoints)
		} else if !r.pauseBeforeRetry(life, err) {
			return
		}
	}
}

// awaitFirstServer waits for the first server of a service that was dialled a
// moment ago, and returns no endpoints if none comes in time.
func (r *endpointResolver) awaitFirstServer(life context.Context, w driver.EndpointWatcher) []driver.Endpoint {
	ctx, cancel := context.WithDeadline(life, r.dialed.Add(transport.ConnectGrace))
	defer cancel()
	endpoints, _ := w.Next(ctx) // the next call returns an error that lasts
	return endpoints
}

// openWatcher retries until it has a watcher.
func (r *endpointResolver) openWatcher(life context.Context) (driver.EndpointWatcher, error) {
	for {
		w, err := r.directory.WatchEndpoints(life, driver.WatchConfig{Service: r.service})
		if err == nil || !r.pauseBeforeRetry(life, err) {
			return w, err
		}
	}
}

// pauseBeforeRetry reports whether there is to be another attempt after err, and
// waits before it. Calls fail with err while gRPC has no state.
func (r *endpointResolver) pauseBeforeRetry(life context.Context, err error) bool {
	if life.Err() != nil {
		return false
	}
	if !r.resolved {
		r.cc.ReportError(transport.StatusError(err))
	}
	if fairlead.CodeOf(err) == fairlead.Closed {
		go r.onClosed() // it waits for this goroutine
		return false
	}
	await.Pause(life, retryPause)
	return true
}

// updateState passes the endpoints on to gRPC. If there are none, it passes on
// an endpoint that cannot be dialled: gRPC has no other way to fail calls with a
// reason.
func (r *endpointResolver) updateState(endpoints []driver.Endpoint) {
	r.resolved = true
	if len(endpoints) == 0 {
		endpoints = []driver.Endpoint{{Address: noServerPrefix + r.service}}
	}
	var state resolver.State
	for _, e := range endpoints {
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: e.Address}}})
	}
	_ = r.cc.UpdateState(state) // fails only without endpoints
}
