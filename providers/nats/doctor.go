package nats

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
	"fairlead.dev/providers"
)

// inspection makes the checks of a diagnosis, with a connection of its own.
type inspection struct {
	*provider // not open: it has the configuration
	trial     providers.Trial
	pages     map[string]*monitorPages // by the page as it is shown
}

// inspect is the Inspect of the scheme.
func inspect(s providers.Settings, t providers.Trial) (providers.Inspection, error) {
	c, err := newConfig(s)
	if err != nil {
		return providers.Inspection{}, err
	}
	if _, err := c.options(); err != nil {
		return providers.Inspection{}, err
	}
	i := &inspection{provider: &provider{config: c, logger: s.Logger}, trial: t, pages: map[string]*monitorPages{}}
	return providers.Inspection{
		Hosts: c.hosts, TLS: c.tls, Speaks: readGreeting,
		DemandTLS: "add tls=true to the URL, and \"ca-file\" if the authority is not one of the system", DemandPlain: "leave out tls and the settings of certificates",
		Checks: []providers.Check{
			{Name: providers.CheckLogin, Essential: true, Run: i.login},
			{Name: providers.CheckPermissions, Run: i.checkPermissions},
			{Name: providers.CheckClock, Run: i.checkClock},
			{Name: providers.CheckVersion, Run: i.checkVersionOf},
		},
		Limits: []providers.Check{
			{Name: providers.CheckQuotas, Run: i.checkQuotas},
			{Name: providers.CheckEviction, Run: func(context.Context) []providers.Finding {
				return []providers.Finding{{Status: providers.CheckOK, Seen: "the provider's streams drop nothing by themselves; opening one whose limits would is refused"}}
			}},
		},
		Close: func() {
			if i.nc != nil {
				i.nc.Close()
			}
			i.prober.http.CloseIdleConnections()
		},
	}, nil
}

// greeting is what a server says first.
type greeting struct {
	TLSRequired  bool `json:"tls_required"`
	TLSAvailable bool `json:"tls_available"`
}

// readGreeting reads what a server says on a new connection. One that waits for TLS says
// nothing.
func readGreeting(_ context.Context, conn net.Conn) providers.Speech {
	const patience = time.Second
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	defer func() { _ = conn.SetReadDeadline(time.Time{}) }()
	line, err := readLine(conn)
	text, ok := bytes.CutPrefix(line, []byte("INFO "))
	var g greeting
	switch {
	case err != nil:
		return providers.SpeaksTLS // handshake_first: the server waits for the client
	case !ok || json.Unmarshal(text, &g) != nil:
		return providers.SpeaksUnknown
	case g.TLSRequired:
		return providers.SpeaksUpgrade
	case g.TLSAvailable:
		return providers.SpeaksUpgradable
	}
	return providers.SpeaksPlain
}

// readLine reads a line byte by byte: what follows it belongs to TLS.
func readLine(conn net.Conn) (line []byte, err error) {
	one := make([]byte, 1)
	for len(line) < 64<<10 {
		if _, err := conn.Read(one); err != nil || one[0] == '\n' {
			return line, err
		}
		line = append(line, one[0])
	}
	return line, errors.New("the line is too long")
}

// login connects as the user.
func (i *inspection) login(ctx context.Context) []providers.Finding {
	opts, err := i.config.options()
	if err != nil {
		return providers.ProblemOf(err, "")
	}
	opts = append(opts, natsgo.ErrorHandler(func(*natsgo.Conn, *natsgo.Subscription, error) {})) // else the client prints them
	nc, err := natsgo.Connect(i.config.servers(), opts...)
	if err == nil {
		i.nc = nc
		err = nc.FlushWithContext(ctx)
	}
	if err != nil {
		err = connectError(err)
		fix := ""
		if fairlead.CodeOf(err) == fairlead.PermissionDenied {
			fix = "correct the user and the password, the token, the NKey or the credentials file"
		}
		return providers.ProblemOf(err, fix)
	}
	seen := "connected to " + nc.ConnectedAddr()
	if i.config.user != "" {
		seen = "user " + i.config.user + ", " + seen
	}
	return []providers.Finding{{Status: providers.CheckOK, Seen: seen}}
}

func (i *inspection) checkVersionOf(context.Context) []providers.Finding {
	if err := i.provider.checkVersion(); err != nil {
		return providers.ProblemOf(err, "")
	}
	f := providers.Finding{Status: providers.CheckOK, Seen: "NATS " + i.nc.ConnectedServerVersion() + "; 2.12 or newer is supported"}
	if name := i.nc.ConnectedClusterName(); name != "" {
		f.Seen += "; cluster " + name
	}
	return []providers.Finding{f}
}

// checkClock reads the time from the monitoring pages: NATS tells it nowhere else.
func (i *inspection) checkClock(ctx context.Context) (found []providers.Finding) {
	for _, page := range i.config.monitors {
		before := time.Now()
		p, err := i.readPages(ctx, page)
		f := providers.Finding{Status: providers.CheckNotTold}
		if err != nil {
			f.Seen = "the monitoring page cannot be read: " + err.Error()
		} else {
			f = providers.ClockFinding(p.Now, before, time.Now(), 0)
		}
		f.Subject = page.shown
		found = append(found, f)
	}
	if len(found) == 0 {
		return []providers.Finding{{Status: providers.CheckNotTold, Seen: "not told by the backend, except on a monitoring page: set \"monitor\""}}
	}
	return found
}

// monitorPages is what the monitoring pages of a server say about its limits.
type monitorPages struct {
	Now      time.Time `json:"now"`
	MaxConns int       `json:"max_connections"`
	Conns    int       `json:"connections"`

	storage jetStreamPage
}

type jetStreamPage struct {
	Config struct {
		MaxMemory  int64 `json:"max_memory"`
		MaxStorage int64 `json:"max_storage"`
	} `json:"config"`
	Memory  int64 `json:"memory"`
	Storage int64 `json:"storage"`
}

func (i *inspection) readPages(ctx context.Context, page monitorPage) (*monitorPages, error) {
	p := &monitorPages{}
	if err := i.readPage(ctx, page, "/varz", p); err != nil {
		return nil, err
	}
	i.pages[page.shown] = p
	return p, i.readPage(ctx, page, "/jsz", &p.storage)
}

func (i *inspection) readPage(ctx context.Context, page monitorPage, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page.url.Reveal()+path, nil)
	if err != nil {
		return errors.New("the URL cannot be read")
	}
	reply, err := i.prober.http.Do(req)
	if err != nil {
		return err // net/http hides a password in it
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", reply.Status)
	}
	return json.NewDecoder(http.MaxBytesReader(nil, reply.Body, jszBytes)).Decode(into)
}

// accountInfo is what JetStream says about the account.
type accountInfo struct {
	Memory    int64 `json:"memory"`
	Storage   int64 `json:"storage"`
	Streams   int64 `json:"streams"`
	Consumers int64 `json:"consumers"`
	Limits    struct {
		MaxMemory    int64 `json:"max_memory"`
		MaxStorage   int64 `json:"max_storage"`
		MaxStreams   int64 `json:"max_streams"`
		MaxConsumers int64 `json:"max_consumers"`
	} `json:"limits"`
}

// usage is how much of a limit is used; a limit of 0 or less is none.
type usage struct {
	what        string
	used, limit int64
	isCount     bool
}

func (u usage) text() string {
	format := func(n int64) string {
		if u.isCount {
			return fmt.Sprint(n)
		}
		return providers.FormatBytes(float64(n))
	}
	if u.limit <= 0 {
		return fmt.Sprintf("%s: %s used, no limit", u.what, format(u.used))
	}
	return fmt.Sprintf("%s: %s of %s used", u.what, format(u.used), format(u.limit))
}

// share is how much of the limit is used, from 0 to 1.
func (u usage) share() float64 {
	if u.limit <= 0 {
		return 0
	}
	return float64(u.used) / float64(u.limit)
}

// fullShare counts as full: JetStream refuses what does not fit any more, so that a
// little always stays free.
const nearlyFull, fullShare = 0.9, 0.99

// usageFinding judges what is used of several limits.
func usageFinding(subject string, all []usage, more string) providers.Finding {
	f := providers.Finding{Status: providers.CheckOK, Subject: subject}
	var texts []string
	for _, u := range all {
		texts = append(texts, u.text())
		switch {
		case u.share() >= fullShare:
			f.Status, f.Fix = providers.CheckProblem, more
			texts[len(texts)-1] += " (full)"
		case u.share() >= nearlyFull && f.Status == providers.CheckOK:
			f.Status, f.Fix = providers.CheckWarning, more
		}
	}
	f.Seen = strings.Join(texts, "; ")
	return f
}

// checkQuotas looks at the limits of the account. It also looks at the limits of the
// servers, if their monitoring pages are known.
func (i *inspection) checkQuotas(ctx context.Context) []providers.Finding {
	found := []providers.Finding{i.checkAccount(ctx)}
	for _, page := range i.config.monitors {
		p := i.pages[page.shown]
		if p == nil {
			continue // the check of the clock has said why
		}
		found = append(found, usageFinding(page.shown, []usage{
			{"max_file_store", p.storage.Storage, p.storage.Config.MaxStorage, false},
			{"max_memory_store", p.storage.Memory, p.storage.Config.MaxMemory, false},
			{"connections", int64(p.Conns), int64(p.MaxConns), true},
		}, "raise the limit in the server's configuration, or delete what is not needed"))
	}
	if len(i.config.monitors) == 0 {
		found = append(found, providers.Finding{Status: providers.CheckNotTold, Subject: "servers", Seen: "max_file_store and its use are told on the monitoring pages only: set \"monitor\""})
	}
	return found
}

func (i *inspection) checkAccount(ctx context.Context) providers.Finding {
	const jetStream = "kv and pubsub need JetStream: add jetstream { store_dir: … } to the server's configuration, and jetstream: enabled to the account"
	var info accountInfo
	err := i.askAccount(ctx, &info)
	f := providers.Finding{Subject: "account", Status: providers.CheckProblem}
	switch {
	case errors.Is(err, natsgo.ErrNoResponders), isAPI(err, 10039, 10076):
		f.Seen, f.Fix = "JetStream is not enabled for this account: "+err.Error(), jetStream
		if !i.needsJetStream() {
			f.Status, f.Fix = providers.CheckOK, ""
		}
		return f
	case err != nil:
		f.Status, f.Seen = providers.CheckNotTold, "JetStream does not tell this user: "+err.Error()
		return f
	}
	return usageFinding("account", []usage{
		{"file storage", info.Storage, info.Limits.MaxStorage, false}, {"memory storage", info.Memory, info.Limits.MaxMemory, false},
		{"streams", info.Streams, info.Limits.MaxStreams, true}, {"consumers", info.Consumers, info.Limits.MaxConsumers, true},
	}, "raise the limits of the account, or delete what is not needed")
}

func (i *inspection) needsJetStream() bool {
	return i.trial.Wants(fairlead.KV) || i.trial.Wants(fairlead.PubSub)
}

func (i *inspection) askAccount(ctx context.Context, info *accountInfo) error {
	ctx, cancel := context.WithTimeout(ctx, i.config.requestTimeout)
	defer cancel()
	reply, err := i.nc.RequestWithContext(ctx, apiPrefix+"INFO", nil)
	if err != nil {
		return err
	}
	return decodeAPI(reply.Data, info)
}
