package etcd

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"fairlead.dev"
	"fairlead.dev/providers"
)

// inspection makes the checks of a diagnosis, with a client of its own.
type inspection struct {
	*provider // not open: it has the configuration and the client
	trial     providers.Trial
	statuses  map[string]*clientv3.StatusResponse // by host, as of the check of the version
}

// inspect is the Inspect of the scheme.
func inspect(s providers.Settings, t providers.Trial) (providers.Inspection, error) {
	c, err := newConfig(s)
	if err != nil {
		return providers.Inspection{}, err
	}
	i := &inspection{provider: newProvider(c, s.Logger), trial: t, statuses: map[string]*clientv3.StatusResponse{}}
	return providers.Inspection{
		Hosts: c.hosts, TLS: c.tls, Speaks: providers.SpeaksAfter(http2Preface),
		DemandTLS: "use etcds:// instead of etcd://", DemandPlain: "use etcd:// instead of etcds://",
		Checks: []providers.Check{
			{Name: providers.CheckLogin, Essential: true, Run: i.login},
			{Name: providers.CheckPermissions, Run: i.checkPermissions},
			{Name: providers.CheckClock, Run: i.checkClock},
			{Name: providers.CheckVersion, Run: i.checkVersion},
		},
		Limits: []providers.Check{
			{Name: providers.CheckQuotas, Run: i.checkQuotas},
			{Name: providers.CheckEviction, Run: func(context.Context) []providers.Finding {
				return []providers.Finding{{Status: providers.CheckOK, Seen: "etcd evicts nothing"}}
			}},
		},
		Close: func() { _ = i.disconnect() },
	}, nil
}

// isDenied reports whether the roles of the user do not allow a request.
func isDenied(err error) bool {
	return err != nil && strings.Contains(err.Error(), rpctypes.ErrorDesc(rpctypes.ErrGRPCPermissionDenied))
}

// login connects and reads as the user. A user that may read nothing is logged in all
// the same.
func (i *inspection) login(ctx context.Context) []providers.Finding {
	err := i.connect(ctx)
	if err == nil {
		if err = i.ping(ctx); isDenied(err) {
			err = nil
		}
	}
	if err != nil {
		fix := ""
		if fairlead.CodeOf(err) == fairlead.PermissionDenied {
			fix = "correct the user and the password; etcdctl user list shows the users"
		}
		return providers.ProblemOf(err, fix)
	}
	if i.config.user == "" {
		return []providers.Finding{{Status: providers.CheckOK, Seen: "no login is demanded"}}
	}
	return []providers.Finding{{Status: providers.CheckOK, Seen: "user " + i.config.user}}
}

// keyRange returns the range of the keys that the provider uses.
func (i *inspection) keyRange() (from, to []byte) {
	root := i.config.prefix + "/"
	return []byte(root), prefixEnd(root)
}

// checkPermissions tries to read the whole range of keys, and a transaction that would
// delete it if a key had an impossible revision: the server checks the permissions
// before it looks at the condition.
func (i *inspection) checkPermissions(ctx context.Context) []providers.Finding {
	from, to := i.keyRange()
	_, readErr := i.readRange(ctx, &pb.RangeRequest{Key: from, RangeEnd: to, Limit: 1, KeysOnly: true})
	_, writeErr := i.readTxn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{{
			Key: []byte(i.registry(i.trial.Name)), Target: pb.Compare_CREATE, Result: pb.Compare_EQUAL,
			TargetUnion: &pb.Compare_CreateRevision{CreateRevision: math.MaxInt64},
		}},
		Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: from, RangeEnd: to}}}},
	})
	found := []providers.Finding{{Status: providers.CheckOK, Subject: "every facet", Seen: "the keys " + string(from) + "… may be read and written"}}
	for _, err := range []error{readErr, writeErr} {
		if err != nil && !isDenied(err) {
			return providers.ProblemOf(err, "")
		}
	}
	switch {
	case readErr != nil:
		found = i.missingRights(ctx, "read and write")
	case writeErr != nil:
		found = i.missingRights(ctx, "write")
	}
	if _, err := i.members(ctx); err != nil {
		found = append(found, providers.Finding{Status: providers.CheckWarning, Subject: "optional", Seen: "the members cannot be listed, so that durability is unverified: " + err.Error(),
			Fix: "let the user list members, or set assert-durable=true"})
	}
	return found
}

// missingRights names what no role of the user allows, and the command that allows it.
func (i *inspection) missingRights(ctx context.Context, what string) []providers.Finding {
	roles, err := i.roles(ctx)
	f := providers.Finding{
		Status: providers.CheckProblem, Subject: "every facet",
		Seen: fmt.Sprintf("the user may not %s all keys that begin with %s/; its roles: %s", what, i.config.prefix, textOfRoles(roles, err)),
		Fix:  "run this as root:",
	}
	grant := func(role string) string {
		return "etcdctl role grant-permission " + role + " --prefix=true readwrite " + i.config.prefix + "/"
	}
	if len(roles) > 0 {
		f.Command = grant(roles[0])
	} else {
		const role = "fairlead"
		f.Command = strings.Join([]string{"etcdctl role add " + role, grant(role), "etcdctl user grant-role " + i.config.user + " " + role}, " && ")
	}
	return []providers.Finding{f}
}

// roles returns the roles of the user, which it may ask for itself.
func (i *inspection) roles(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, i.config.requestTimeout)
	defer cancel()
	user, err := i.client.UserGet(ctx, i.config.user)
	if err != nil {
		return nil, err
	}
	roles := slices.Clone(user.Roles)
	slices.Sort(roles)
	return roles, nil
}

func textOfRoles(roles []string, err error) string {
	switch {
	case err != nil:
		return "not known: " + err.Error()
	case len(roles) == 0:
		return "none"
	}
	return strings.Join(roles, ", ")
}

// checkClock reads the time from the answer to a request of HTTP.
func (i *inspection) checkClock(ctx context.Context) (found []providers.Finding) {
	for n, u := range i.config.urls() {
		before := time.Now()
		var told time.Time
		err := fetchPage(ctx, i.config.tls, u+"/version", func(res *http.Response) (err error) {
			told, err = http.ParseTime(res.Header.Get("Date"))
			return err
		})
		f := providers.Finding{Status: providers.CheckNotTold, Seen: "the member does not tell its time over HTTP"}
		if err == nil {
			f = providers.ClockFinding(told, before, time.Now(), time.Second)
		}
		f.Subject = i.config.hosts[n]
		found = append(found, f)
	}
	return found
}

// checkVersion asks each member for its status, and keeps it for the check of quotas.
func (i *inspection) checkVersion(ctx context.Context) (found []providers.Finding) {
	for n, u := range i.config.urls() {
		host := i.config.hosts[n]
		bounded, cancel := context.WithTimeout(ctx, i.config.requestTimeout)
		st, err := i.client.Status(bounded, u)
		cancel()
		if err != nil {
			found = append(found, providers.Finding{Status: providers.CheckNotTold, Subject: host, Seen: "no answer to a request for the status: " + mapErr(err, false).Error()})
			continue
		}
		i.statuses[host] = st
		found = append(found, versionFinding(host, st))
	}
	return found
}

func versionFinding(host string, st *clientv3.StatusResponse) providers.Finding {
	f := providers.Finding{Status: providers.CheckOK, Subject: host, Seen: "etcd " + st.Version + "; 3.6 or newer is supported"}
	var major, minor int
	_, err := fmt.Sscanf(st.Version, "%d.%d", &major, &minor)
	switch {
	case st.IsLearner:
		f.Status, f.Seen, f.Fix = providers.CheckProblem, "the member is a learner, which serves no reads", "name voting members in the URL"
	case st.Leader == 0:
		f.Status, f.Seen, f.Fix = providers.CheckProblem, "the member has no leader", "start a majority of the members, and see that they reach each other"
	case err == nil && (major < 3 || major == 3 && minor < 6):
		f.Status, f.Fix = providers.CheckWarning, "use etcd 3.6 or newer; older versions are not tested"
	}
	return f
}

// nearlyFull is the share of a quota of which a diagnosis warns.
const nearlyFull = 0.9

// checkQuotas compares the sizes of the databases with their quotas, and names alarms.
func (i *inspection) checkQuotas(context.Context) (found []providers.Finding) {
	for _, host := range i.config.hosts {
		if st := i.statuses[host]; st != nil {
			f := quotaFinding(st)
			f.Subject = host
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return []providers.Finding{{Status: providers.CheckNotReached, Seen: "no member has told its status"}}
	}
	return found
}

func quotaFinding(st *clientv3.StatusResponse) providers.Finding {
	size, quota := float64(st.DbSize), float64(st.DbSizeQuota)
	f := providers.Finding{Status: providers.CheckOK, Seen: fmt.Sprintf("the database has %s, of which %s are in use", providers.FormatBytes(size), providers.FormatBytes(float64(st.DbSizeInUse)))}
	if quota > 0 {
		f.Seen += "; --quota-backend-bytes is " + providers.FormatBytes(quota)
	}
	alarms := strings.Join(st.Errors, ", ")
	const room = "compact the history, defragment every member (etcdctl defrag), and then etcdctl alarm disarm; or raise --quota-backend-bytes"
	switch {
	case strings.Contains(alarms, "NOSPACE"):
		f.Status, f.Seen, f.Fix = providers.CheckProblem, "the alarm NOSPACE is raised: the database is full, and writes are refused; "+f.Seen, room
	case alarms != "":
		f.Status, f.Seen, f.Fix = providers.CheckProblem, "alarms: "+alarms+"; "+f.Seen, "read the log of the member; etcdctl alarm list shows the alarms"
	case quota > 0 && size >= nearlyFull*quota:
		f.Status, f.Fix = providers.CheckWarning, room
	}
	return f
}
