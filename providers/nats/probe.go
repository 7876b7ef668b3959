package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"fairlead.dev"

	"fairlead.dev/providers"
)

const (
	probeTimeout = 5 * time.Second
	// jszBytes is more than the length of a server's page, if that shows only settings.
	jszBytes = 1 << 20
)

// prober reads the monitoring pages. For a server that cannot be reached, the last
// page that was read counts: the server cannot change its settings without a
// restart, after which it is reached again.
type prober struct {
	http  http.Client
	known map[string]monitored // by URL as it is shown; of one goroutine at a time
}

// state is what a probe found.
type state struct {
	version    string
	cluster    string // its name; empty: one server
	maxPayload int64
	noStream   string // why JetStream cannot be used; empty: it can
	monitors   []monitored
}

// monitored is what the monitoring page of one server says.
type monitored struct {
	page       monitorPage
	err        error
	syncAlways bool
	interval   time.Duration
}

// keepDescription probes the servers until the provider is closed.
func (p *provider) keepDescription() {
	defer p.prober.http.CloseIdleConnections()
	trimmed := time.Now()
	p.Keep(p.life.Context(), providers.Probing{
		Probe: p.probeDescription, Every: p.config.probeInterval, Timeout: probeTimeout, Now: p.probeSoon.Fired(), Logger: p.logger,
		Then: func() {
			p.writeCheckpoints()
			if time.Since(trimmed) >= trimEvery {
				trimmed = time.Now()
				p.trimTopics()
				p.sweepRecords()
				p.checkOpenStreams()
			}
		},
	})
}

// probeDescription describes what a probe finds.
func (p *provider) probeDescription(ctx context.Context) (fairlead.Description, error) {
	return providers.DescribeState(p.probe, p.describe)(ctx)
}

// probe asks the server that this provider is connected to about JetStream, and
// the monitoring pages.
func (p *provider) probe(ctx context.Context) (state, error) {
	st := state{
		version: p.nc.ConnectedServerVersion(), cluster: p.nc.ConnectedClusterName(),
		maxPayload: p.nc.MaxPayload(),
	}
	err := p.callAPI(ctx, "INFO", nil, nil, false)
	switch {
	case isAPI(err, 10039, 10076), isNoResponder(err):
		st.noStream = err.Error()
	case err != nil:
		return state{}, err
	}
	if err := p.checkVersion(); err != nil {
		return state{}, err
	}
	for _, page := range p.config.monitors {
		st.monitors = append(st.monitors, p.prober.probeMonitor(ctx, page))
	}
	p.syncsAlways.Store(len(st.undurable(p.config)) == 0)
	return st, nil
}

// checkVersion returns an error for a server that is too old.
func (p *provider) checkVersion() error {
	var major, minor int
	v := p.nc.ConnectedServerVersion()
	if _, err := fmt.Sscanf(v, "%d.%d", &major, &minor); err == nil && (major < 2 || major == 2 && minor < 12) {
		return fairlead.Errorf(fairlead.Unsupported, "the server runs NATS %s; version 2.12 or newer is needed", v)
	}
	return nil
}

// probeMonitor reads how a server syncs.
func (p *prober) probeMonitor(ctx context.Context, page monitorPage) monitored {
	m := p.readMonitor(ctx, page)
	if before, ok := p.known[page.shown]; ok && m.err != nil {
		return before
	}
	if m.err == nil {
		if p.known == nil {
			p.known = map[string]monitored{}
		}
		p.known[page.shown] = m
	}
	return m
}

// readMonitor reads a monitoring page.
func (p *prober) readMonitor(ctx context.Context, page monitorPage) monitored {
	m := monitored{page: page}
	m.err = func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, page.url.Reveal()+"/jsz", nil)
		if err != nil {
			return err
		}
		reply, err := p.http.Do(req)
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		if reply.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", reply.Status)
		}
		var answer struct {
			Config struct {
				SyncInterval time.Duration `json:"sync_interval"`
				SyncAlways   bool          `json:"sync_always"`
			} `json:"config"`
		}
		err = json.NewDecoder(io.LimitReader(reply.Body, jszBytes)).Decode(&answer)
		m.syncAlways, m.interval = answer.Config.SyncAlways, answer.Config.SyncInterval
		return err
	}()
	return m
}

// serves reports whether stores and topics can be used.
func (st state) serves() bool { return st.noStream == "" && st.maxPayload >= leastPayload }

// undurable lists what keeps acknowledged writes from being on stable storage.
func (st state) undurable(c config) (lacks []providers.Lack) {
	if c.assertSync {
		return nil
	}
	if len(st.monitors) == 0 {
		return []providers.Lack{{
			Reason: "unverified: JetStream acknowledges before it syncs, every 2 minutes, unless sync_interval is always, and tells no client which it is",
			Remedy: "set jetstream { sync_interval: always } on every server, and open with monitor=URL of their monitoring pages as the proof, or with assert-sync-always=true",
		}}
	}
	for _, m := range st.monitors {
		switch {
		case m.err != nil:
			lacks = append(lacks, providers.Lack{Reason: "unverified: the monitoring page " + m.page.shown + " cannot be read: " + m.err.Error(),
				Remedy: "let the provider read it, or open with assert-sync-always=true"})
		case !m.syncAlways:
			lacks = append(lacks, providers.Lack{Reason: fmt.Sprintf("sync_interval of %s is %v: what was acknowledged since the last sync is lost with the power", m.page.shown, m.interval),
				Remedy: "set jetstream { sync_interval: always } and restart the server"})
		}
	}
	return lacks
}

// durabilityBasis returns what the claims of durability rest on, if they hold.
func (c config) durabilityBasis() fairlead.Basis {
	if c.assertSync {
		return providers.Asserted("assert-sync-always=true")
	}
	return providers.Verified("sync_interval is always (monitoring pages)")
}

// unreplicated lists what keeps acknowledged writes from being on the stable
// storage of a majority.
func (st state) unreplicated(c config) []providers.Lack {
	if c.replicas > 1 {
		if len(st.monitors) > 0 && !c.assertSync && len(st.monitors) < c.replicas {
			return append(st.undurable(c), providers.Lack{Reason: "\"monitor\" has the monitoring pages of fewer servers than there are replicas", Remedy: "list the pages of all servers in \"monitor\""})
		}
		return st.undurable(c)
	}
	return []providers.Lack{{Reason: "replicas is 1: one server holds the data", Remedy: "open with replicas=3 on a cluster, with names that do not exist yet"}}
}

// notes returns facts for the operator that no claim expresses.
func (st state) notes(c config) (notes []string) {
	if st.noStream != "" {
		notes = append(notes, "JetStream cannot be used, so that there are no stores and no topics: "+st.noStream)
	} else if st.maxPayload < leastPayload {
		notes = append(notes, fmt.Sprintf("max_payload of the server is %d, so that there are no stores and no topics: they need %d", st.maxPayload, leastPayload))
	}
	if st.serves() {
		notes = append(notes, "no claim covers damaged files: JetStream then loses acknowledged writes, also with sync_interval always and replicas (Jepsen, NATS 2.12.1; see docs/providers/nats.md)")
	}
	if st.cluster != "" {
		notes = append(notes, fmt.Sprintf("cluster %s: each stream is held by %d of its servers", st.cluster, c.replicas))
	}
	if c.assertSync {
		notes = append(notes, "sync_interval always is asserted by the operator (assert-sync-always), not verified")
	}
	if len(st.undurable(c)) > 0 {
		notes = append(notes, "after a loss of power the server may give the sequence of a lost write to another one: a revision, or a position, may then stand for both")
	}
	return notes
}
