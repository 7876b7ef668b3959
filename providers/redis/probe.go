package redis

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"

	"fairlead.dev/providers"
)

// probeTimeout bounds one look at the servers.
const probeTimeout = 5 * time.Second

// prober keeps what has been learned about servers from probe to probe.
type prober struct {
	config config
	kicks  chan struct{} // there is a new connection: probe now

	mu     sync.Mutex
	proven map[string]proof // by run_id
}

// proof is the moment at which a server's append-only file was known to be in
// use. See nodeState.aofInUse.
type proof struct{ configSets int }

func newProber(c config) *prober {
	return &prober{config: c, kicks: make(chan struct{}, 1), proven: map[string]proof{}}
}

func (p *prober) kick() {
	select {
	case p.kicks <- struct{}{}:
	default: // a probe is due already
	}
}

// watchServer probes until the provider is closed.
func (p *provider) watchServer() {
	p.Keep(p.life, providers.Probing{
		Probe: p.look, Every: p.config.probeInterval, Timeout: probeTimeout, Now: p.prober.kicks,
		Then: p.sweepStores, Logger: p.logger,
	})
}

// look is the description of what a probe finds.
func (p *provider) look(ctx context.Context) (fairlead.Description, error) {
	st, err := p.probe(ctx)
	if err != nil {
		return fairlead.Description{}, err
	}
	return p.describe(st), nil
}

// probe asks every primary about its state.
func (p *provider) probe(ctx context.Context) (state, error) {
	found := make(chan []nodeState, 1)
	err := within(ctx, func() error {
		nodes, err := p.prober.look(ctx, p.client)
		found <- nodes
		return mapCallErr(ctx, err, false)
	})
	if err != nil {
		return state{}, err
	}
	return state{<-found}, nil
}

// look asks every primary that c knows.
func (p *prober) look(ctx context.Context, c goredis.UniversalClient) ([]nodeState, error) {
	var mu sync.Mutex
	var nodes []nodeState
	one := func(ctx context.Context, node *goredis.Client) error {
		n, err := p.lookAt(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		nodes = append(nodes, n)
		return err
	}
	var err error
	switch c := c.(type) {
	case *goredis.ClusterClient:
		err = c.ForEachMaster(ctx, one)
	case *goredis.Client:
		err = one(ctx, c)
	}
	slices.SortFunc(nodes, nodeState.compare)
	p.forget(nodes)
	return nodes, err
}

// forget drops the proofs of servers that are gone.
func (p *prober) forget(present []nodeState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.proven, func(runID string, _ proof) bool {
		return !slices.ContainsFunc(present, func(n nodeState) bool { return n.runID == runID })
	})
}

// lookAt asks one server.
func (p *prober) lookAt(ctx context.Context, node *goredis.Client) (nodeState, error) {
	text, err := node.Do(ctx, "info", "all").Text()
	if err != nil {
		return nodeState{}, err
	}
	n := parseInfo(text)
	n.addr = node.Options().Addr
	if n.loading {
		// It serves nobody, and its settings are not those that it will have:
		// meanwhile it says that it has no append-only file.
		return nodeState{}, fairlead.Errorf(fairlead.Unavailable, "%s is loading its data; wait until it has", n.addr)
	}
	if n.settings, err = readConfig(ctx, node); err != nil {
		// Denied by an ACL, or renamed, as services like to do.
		if !isAnswer(err) || fairlead.CodeOf(mapErr(err, false)) == fairlead.Unavailable {
			return nodeState{}, err
		}
		n.unverified = err.Error()
	}
	n.aofInUse = p.aofInUse(n)
	return n, nil
}

// wanted are the settings that durability depends on.
var wanted = []string{"appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory", "maxmemory-policy"}

func readConfig(ctx context.Context, node *goredis.Client) (map[string]string, error) {
	args := []any{"config", "get"}
	for _, w := range wanted {
		args = append(args, w)
	}
	list, err := node.Do(ctx, args...).StringSlice()
	if err != nil {
		return nil, err
	}
	settings := map[string]string{}
	for i := 0; i+1 < len(list); i += 2 {
		settings[list[i]] = list[i+1]
	}
	return settings, nil
}

// aofInUse reports whether writes go to the append-only file that a restart
// loads. After CONFIG SET appendonly yes that is not so before the first
// rewrite has ended, although INFO and CONFIG GET say that the file is on.
//
// A moment at which it is on and no rewrite runs or waits proves it; so does a
// server that is as it was started, since it then has had the file from the
// beginning. The proof lasts, through the routine rewrites that follow, until
// the server starts anew or somebody runs CONFIG SET.
func (p *prober) aofInUse(n nodeState) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	proven, ok := p.proven[n.runID]
	switch {
	case !n.aofEnabled:
		delete(p.proven, n.runID)
		return false
	case !n.aofRewriting, n.untouched:
		p.proven[n.runID] = proof{n.configSets}
		return true
	default:
		return ok && proven.configSets == n.configSets
	}
}
