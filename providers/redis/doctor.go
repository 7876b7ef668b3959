package redis

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
	"fairlead.dev/providers"
)

// inspection makes the checks of a diagnosis, with a client of its own.
type inspection struct {
	*provider // not open: it has the configuration and the client
	trial     providers.Trial
	nodes     []nodeState // as of the check of the version
}

// inspect is the Inspect of the scheme.
func inspect(s providers.Settings, t providers.Trial) (providers.Inspection, error) {
	redirectVendorLog()
	c, err := newConfig(s)
	if err != nil {
		return providers.Inspection{}, err
	}
	i := &inspection{provider: newProvider(c, s.Logger), trial: t}
	return providers.Inspection{
		Hosts: c.hosts, TLS: c.tls, Speaks: providers.SpeaksAfter("PING\r\n"),
		DemandTLS: "use rediss:// instead of redis://", DemandPlain: "use redis:// instead of rediss://",
		Checks: []providers.Check{
			{Name: providers.CheckLogin, Essential: true, Run: i.login},
			{Name: providers.CheckPermissions, Run: i.checkPermissionsOfUser},
			{Name: providers.CheckClock, Run: i.checkClock},
			{Name: providers.CheckVersion, Run: i.checkVersion},
		},
		Limits: []providers.Check{
			{Name: providers.CheckQuotas, Run: i.checkMemory},
			{Name: providers.CheckEviction, Run: i.checkEviction},
		},
		Close: i.close,
	}, nil
}

func (i *inspection) close() {
	if i.client != nil {
		_ = i.client.Close()
	}
}

func (i *inspection) connectAs(mode string) {
	i.close()
	i.config.mode = mode
	i.client = i.config.newClient(2, i.config.readTimeout, func() {})
}

// login connects as the user, and finds out whether the server belongs to a cluster. A
// user that may not run INFO is logged in all the same.
func (i *inspection) login(ctx context.Context) []providers.Finding {
	i.connectAs(i.config.mode)
	text, err := i.client.Do(ctx, "info", "server").Text()
	if err != nil && !isDenial(err) {
		return providers.ProblemOf(mapErr(i.explainOpen(ctx, err), false), loginFix(err))
	}
	if mode := parseInfo(text).mode; i.config.mode == "" && mode == cluster {
		i.connectAs(mode)
	} else if i.config.mode == "" {
		i.config.mode = standalone
	}
	return []providers.Finding{{Status: providers.CheckOK, Seen: "user " + i.config.userName() + ", mode " + i.config.mode}}
}

func loginFix(err error) string {
	for _, prefix := range []string{"WRONGPASS", "NOAUTH", "ERR AUTH", "ERR invalid password"} {
		if goredis.HasErrorPrefix(err, prefix) {
			return "correct the user and the password; redis-cli ACL LIST shows the users"
		}
	}
	return ""
}

// userName returns the name of the ACL user.
func (c config) userName() string {
	if c.user == "" {
		return "default"
	}
	return c.user
}

// onEach calls look with each primary, and returns the findings of all.
func (i *inspection) onEach(ctx context.Context, look func(context.Context, *goredis.Client) ([]providers.Finding, error)) []providers.Finding {
	var mu sync.Mutex
	var found []providers.Finding
	err := onPrimaries(ctx, i.client, func(ctx context.Context, node *goredis.Client) error {
		f, err := look(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		found = append(found, f...)
		return err
	})
	if err != nil {
		found = append(found, deniedOrProblem(err)...)
	}
	return found
}

// deniedOrProblem returns the finding of a check that the server has not let run.
func deniedOrProblem(err error) []providers.Finding {
	if isDenial(err) || isErrorReply(err) && fairlead.CodeOf(mapErr(err, false)) == fairlead.Unsupported {
		return []providers.Finding{{Status: providers.CheckNotTold, Seen: "the server does not let this user ask: " + withoutArguments(err.Error())}}
	}
	return providers.ProblemOf(mapErr(err, false), "")
}

// subject is the address of a server if there are several.
func (i *inspection) subject(node *goredis.Client) string {
	if i.config.mode != cluster {
		return ""
	}
	return node.Options().Addr
}

func (i *inspection) checkClock(ctx context.Context) []providers.Finding {
	return i.onEach(ctx, func(ctx context.Context, node *goredis.Client) ([]providers.Finding, error) {
		before := time.Now()
		told, err := node.Time(ctx).Result()
		if err != nil {
			return nil, err
		}
		f := providers.ClockFinding(told, before, time.Now(), 0)
		f.Subject = i.subject(node)
		return []providers.Finding{f}, nil
	})
}

// checkVersion looks at what the servers are, and keeps it for the checks of memory.
func (i *inspection) checkVersion(ctx context.Context) []providers.Finding {
	nodes, err := i.prober.probePrimaries(ctx, i.client)
	if err != nil {
		return deniedOrProblem(err)
	}
	i.nodes = nodes
	if err := (state{nodes}).unsuitableError(i.config.mode); err != nil {
		return providers.ProblemOf(err, "")
	}
	var found []providers.Finding
	for _, n := range nodes {
		found = append(found, providers.Finding{Status: providers.CheckOK, Subject: i.addrOf(n), Seen: fmt.Sprintf("Redis %s, %s; 7.0 or newer is supported", n.version, n.role)})
	}
	return found
}

func (i *inspection) addrOf(n nodeState) string {
	if len(i.nodes) < 2 {
		return ""
	}
	return n.addr
}

// nearlyFull is the share of a quota of which a diagnosis warns.
const nearlyFull = 0.9

func (i *inspection) checkMemory(context.Context) []providers.Finding {
	return i.onNodes(func(n nodeState) providers.Finding {
		limit, _ := strconv.ParseFloat(n.maxMemory, 64)
		used, err := strconv.ParseFloat(n.usedMemory, 64)
		if err != nil {
			return providers.Finding{Status: providers.CheckNotTold, Seen: "the server does not tell how much memory it uses"}
		}
		const more = "raise maxmemory, or acknowledge and delete what the server holds"
		f := providers.Finding{Status: providers.CheckOK, Seen: fmt.Sprintf("%s of memory used; maxmemory is not set", providers.FormatBytes(used))}
		if limit > 0 {
			f.Seen = fmt.Sprintf("%s of memory used; maxmemory is %s, maxmemory-policy %s", providers.FormatBytes(used), providers.FormatBytes(limit), n.eviction)
		}
		switch {
		case limit > 0 && used >= limit && !n.mayEvict():
			f.Status, f.Seen, f.Fix = providers.CheckProblem, "the server is full, and refuses what stores something: "+f.Seen, more
		case limit > 0 && used >= nearlyFull*limit:
			f.Status, f.Fix = providers.CheckWarning, more
		}
		return f
	})
}

func (i *inspection) checkEviction(context.Context) []providers.Finding {
	return i.onNodes(func(n nodeState) providers.Finding {
		switch {
		case n.mayEvictAny():
			return providers.Finding{Status: providers.CheckProblem, Fix: setCommand("maxmemory-policy", "noeviction"),
				Seen: "maxmemory-policy is " + n.eviction + ": any value or message may vanish when the server is full"}
		case n.mayEvict():
			return providers.Finding{Status: providers.CheckWarning, Fix: setCommand("maxmemory-policy", "noeviction"),
				Seen: "maxmemory-policy is " + n.eviction + ": values with a time to live may vanish before it ends"}
		}
		return providers.Finding{Status: providers.CheckOK, Seen: "the server evicts nothing"}
	})
}

// onNodes returns a finding for each server that the check of the version has seen.
func (i *inspection) onNodes(look func(nodeState) providers.Finding) (found []providers.Finding) {
	if len(i.nodes) == 0 {
		return []providers.Finding{{Status: providers.CheckNotReached, Seen: "the check " + providers.CheckVersion + " failed"}}
	}
	for _, n := range i.nodes {
		f := look(n)
		f.Subject = i.addrOf(n)
		found = append(found, f)
	}
	return found
}
