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

// probeTimeout bounds one probe of all servers.
const probeTimeout = 5 * time.Second

// prober keeps what is known about servers from probe to probe.
type prober struct {
	newConnection providers.Trigger // makes the next probe begin at once

	mu     sync.Mutex
	proofs map[string]aofProof // by run_id
}

// aofProof says that a server's append-only file was known to be in use when
// CONFIG SET had been called so many times. See prober.aofInUse.
type aofProof struct{ configSets int }

func newProber() *prober {
	return &prober{newConnection: providers.NewTrigger(), proofs: map[string]aofProof{}}
}

// keepProbing probes until the provider is closed.
func (p *provider) keepProbing() {
	p.Keep(p.life.Context(), providers.Probing{
		Probe: providers.DescribeState(p.probeServers, p.describe),
		Every: p.config.probeInterval, Timeout: probeTimeout, Now: p.prober.newConnection.Fired(),
		Then: p.sweepStores, Logger: p.logger,
	})
}

// probeServers asks every primary for its state.
func (p *provider) probeServers(ctx context.Context) (state, error) {
	found := make(chan []nodeState, 1)
	err := runUnlessEnded(ctx, func() error {
		nodes, err := p.prober.probePrimaries(ctx, p.client)
		found <- nodes
		return mapCallErr(ctx, err, false)
	})
	if err != nil {
		return state{}, err
	}
	return state{<-found}, nil
}

// probePrimaries asks every primary that c knows.
func (p *prober) probePrimaries(ctx context.Context, c goredis.UniversalClient) ([]nodeState, error) {
	var mu sync.Mutex
	var nodes []nodeState
	probe := func(ctx context.Context, node *goredis.Client) error {
		n, err := p.probeNode(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		nodes = append(nodes, n)
		return err
	}
	err := onPrimaries(ctx, c, probe)
	slices.SortFunc(nodes, nodeState.compare)
	p.dropProofs(nodes)
	return nodes, err
}

// onPrimaries calls f with a client of each primary, at the same time.
func onPrimaries(ctx context.Context, c goredis.UniversalClient, f func(context.Context, *goredis.Client) error) error {
	if c, ok := c.(*goredis.ClusterClient); ok {
		return c.ForEachMaster(ctx, f)
	}
	return f(ctx, c.(*goredis.Client))
}

// dropProofs drops the proofs of servers that are gone.
func (p *prober) dropProofs(present []nodeState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.proofs, func(runID string, _ aofProof) bool {
		return !slices.ContainsFunc(present, func(n nodeState) bool { return n.runID == runID })
	})
}

// probeNode asks one server.
func (p *prober) probeNode(ctx context.Context, node *goredis.Client) (nodeState, error) {
	text, err := node.Do(ctx, "info", "all").Text()
	if err != nil {
		return nodeState{}, err
	}
	n := parseInfo(text)
	n.addr = node.Options().Addr
	if n.loading {
		// The server serves no client. Its settings are not yet final: until it
		// has loaded its data, it reports that it has no append-only file.
		return nodeState{}, fairlead.Errorf(fairlead.Unavailable, "%s is loading its data; wait until it has finished", n.addr)
	}
	if n.settings, err = readConfig(ctx, node); err != nil {
		// An ACL denies CONFIG, or a hosting service has renamed it.
		if !isErrorReply(err) || fairlead.CodeOf(mapErr(err, false)) == fairlead.Unavailable {
			return nodeState{}, err
		}
		n.unverified = err.Error()
	}
	n.aofInUse = p.aofInUse(n)
	return n, nil
}

// probedSettings are the settings that durability, the limits and the notes depend on.
var probedSettings = []string{"appendonly", "appendfsync", "no-appendfsync-on-rewrite", "proto-max-bulk-len", "client-query-buffer-limit"}

func readConfig(ctx context.Context, node *goredis.Client) (map[string]string, error) {
	args := []any{"config", "get"}
	for _, name := range probedSettings {
		args = append(args, name)
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
// loads. After CONFIG SET appendonly yes, that is not the case until the first
// rewrite has ended, although INFO and CONFIG GET say that the file is on.
//
// The file is proven to be in use if it is on while no rewrite runs or is
// scheduled. It is also proven if no setting was changed since the server
// started, because the server then has had the file from the beginning. The
// proof remains valid through later routine rewrites, until the server restarts
// or CONFIG SET is run.
func (p *prober) aofInUse(n nodeState) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	proof, ok := p.proofs[n.runID]
	switch {
	case !n.aofEnabled:
		delete(p.proofs, n.runID)
		return false
	case !n.aofRewriting, n.unchanged:
		p.proofs[n.runID] = aofProof{n.configSets}
		return true
	default:
		return ok && proof.configSets == n.configSets
	}
}
