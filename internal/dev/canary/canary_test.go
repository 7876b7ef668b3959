package canary

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	gcpubsub "gocloud.dev/pubsub"
	"google.golang.org/grpc/grpclog"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv"
	"fairlead.dev/plugins"
	_ "fairlead.dev/providers/dapr"
	_ "fairlead.dev/providers/etcd"
	"fairlead.dev/providers/gocloud"
	_ "fairlead.dev/providers/nats"
	_ "fairlead.dev/providers/redis"
	"fairlead.dev/pubsub"
	"fairlead.dev/rpc"
)

// The password that comes out nowhere. Its parts are around reserved characters, and
// each is looked for: a text may quote or escape the rest.
const (
	canary = "c4nary-b1rd"
	odd    = `c4nary/?#@"\%b1rd`
)

// traces are the forms in which a part of the password could come out.
func traces() (all []string) {
	for _, part := range []string{"c4nary", "b1rd"} {
		bytes := strings.Trim(fmt.Sprint([]byte(part)), "[]")
		all = append(all, part, hex.EncodeToString([]byte(part)), bytes, strings.ReplaceAll(bytes, " ", ", "),
			strings.Trim(fmt.Sprintf("%#v", []byte(part)), "[]byte{}"))
	}
	for _, password := range []string{canary, odd} {
		for shift := range 3 { // base64 depends on the place
			text := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + password))
			all = append(all, text[4:12])
		}
	}
	return all
}

// output is everything that the process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// take returns what was written since the last call.
func (o *output) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.text.Reset()
	return o.text.String()
}

var (
	written output
	spans   = tracetest.NewInMemoryExporter()
)

func TestMain(m *testing.M) {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2WithVerbosity(&written, &written, &written, 2))
	slog.SetDefault(slog.New(slog.NewTextHandler(&written, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.SetOutput(&written)
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)))
	gcpubsub.DefaultURLMux().RegisterTopic("canary", talkative{})
	gcpubsub.DefaultURLMux().RegisterSubscription("canary", talkative{})
	gocloud.RegisterLinked()
	os.Exit(m.Run())
}

// talkative is a driver of gocloud.dev whose errors repeat the URL in many ways.
type talkative struct{}

func (talkative) OpenTopicURL(_ context.Context, u *url.URL) (*gcpubsub.Topic, error) {
	return nil, talk(u)
}

func (talkative) OpenSubscriptionURL(_ context.Context, u *url.URL) (*gcpubsub.Subscription, error) {
	return nil, talk(u)
}

func talk(u *url.URL) error {
	password, _ := u.User.Password()
	return fmt.Errorf("cannot open %s (%q): user %s, password %q (%s), query %s: %v", u, u.String(), u.User, password, password, u.RawQuery, u.Query())
}

// place is one way of giving a password.
type place struct {
	name string
	url  string
	env  map[string]string
}

// places are all ways, each with a server that takes the password, one that refuses it,
// and no server.
func places(t *testing.T) (all []place) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		check.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	good, bad, short := write("good", odd+"\n"), write("bad", canary+odd), write("pem", "-----BEGIN PRIVATE KEY-----\n"+base64.StdEncoding.EncodeToString([]byte(canary))+"\n-----END PRIVATE KEY-----\n"+canary)
	env := map[string]string{"GOOD": odd, "BAD": canary}
	add := func(name, form string, args ...any) { all = append(all, place{name, fmt.Sprintf(form, args...), env}) }
	for scheme, server := range servers(t) {
		for i, host := range []string{server.host, server.open, "127.0.0.1:1"} {
			at := []string{"", " of a server that knows none", " of no server"}[i]
			for _, user := range []*url.Userinfo{
				url.UserPassword(server.user, odd), url.UserPassword(server.user, canary), url.UserPassword("nobody", canary), url.UserPassword("", odd), url.User(canary),
			} {
				add(scheme+": user"+at, "%s://%s@%s", scheme, user, host)
				add(scheme+": user with TLS"+at, "%s://%s@%s%s", server.tls, user, host, server.demand)
			}
			name := ""
			if server.user != "" {
				name = server.user + "@"
			}
			for _, setting := range server.settings {
				add(scheme+": "+setting+"-env"+at, "%s://%s%s?%s-env=GOOD", scheme, name, host, setting)
				add(scheme+": "+setting+"-env, wrong"+at, "%s://%s%s?%s-env=BAD", scheme, name, host, setting)
				add(scheme+": "+setting+"-file"+at, "%s://%s%s?%s-file=%s", scheme, name, host, setting, good)
				add(scheme+": "+setting+"-file, wrong"+at, "%s://%s%s?%s-file=%s", scheme, name, host, setting, bad)
			}
			for _, file := range []string{"ca-file=" + bad, "cert-file=" + bad + "&key-file=" + short, "cert-file=" + short + "&key-file=" + short} {
				add(scheme+": TLS files"+at, "%s://%s?%s", server.tls, host, file)
			}
		}
		for _, extra := range server.more {
			add(scheme+": "+extra, "%s", extra)
		}
	}
	for _, user := range []*url.Userinfo{url.UserPassword("user", odd), url.UserPassword("user", canary)} {
		for _, query := range []string{"", "?password=" + canary, "?AccountKey=" + url.QueryEscape(odd) + "&x=y"} {
			topic := "canary://" + user.String() + "@host/{topic}" + query
			add("gocloud: a template", "gocloud+canary://?topic=%s&subscription=%s&ack-deadline=1m", url.QueryEscape(topic), url.QueryEscape(topic+"{group}"))
		}
	}
	add("gocloud: a template that is no URL", "gocloud+canary://?topic=%s&subscription=%s&ack-deadline=1m", url.QueryEscape("canary://user:12/"+canary+"@host:b1rd/{topic}"), url.QueryEscape("canary://user:"+canary+"%zz@host/{topic}{group}"))
	return all
}

// server is how the servers of one scheme are reached, and given a password.
type server struct {
	host     string // knows the password odd
	open     string // knows no password
	user     string // of host
	settings []string
	tls      string // scheme with TLS
	demand   string // settings that demand TLS
	more     []string
}

// servers starts a server of each kind.
func servers(t *testing.T) map[string]server {
	redis, plainRedis := testbed.Redis(t), testbed.Redis(t)
	c := testbed.RedisClient(t, redis)
	check.NoError(t, c.Do(t.Context(), "acl", "setuser", "app", "on", ">"+odd, "~*", "&*", "+@all").Err())
	// A server that does not know the commands of a login repeats their arguments.
	ancient := testbed.Redis(t, testbed.RedisConf(`rename-command HELLO ""`, `rename-command AUTH ""`))
	etcd, plainEtcd := testbed.Etcd(t, testbed.EtcdRootPassword(odd)), testbed.Etcd(t)
	nats, plainNATS := testbed.NATS(t, testbed.NATSUser("app", odd)), testbed.NATS(t)
	token := testbed.NATS(t, testbed.NATSToken(canary))
	dapr, plainDapr := testbed.Dapr(t, testbed.DaprInMemory(), testbed.DaprToken(odd)), testbed.Dapr(t, testbed.DaprInMemory())
	return map[string]server{
		"redis": {redis.Addr(), plainRedis.Addr(), "app", []string{"password"}, "rediss", "", []string{
			"redis://app:" + canary + "@" + ancient.Addr(), "redis://:" + canary + "@" + ancient.Addr(), "redis://app:" + canary + "@" + ancient.Addr() + "?mode=cluster",
			"redis://app:" + canary + "@" + redis.Addr() + "?mode=cluster", "redis://" + canary + "@" + redis.Addr() + "," + plainRedis.Addr(),
			"redis://" + plainRedis.Addr() + "?master-name=m&sentinel-password-env=BAD", "redis://" + redis.Addr() + "?master-name=m&sentinel-user=app&sentinel-password-env=BAD",
			"redis://" + ancient.Addr() + "?master-name=m&sentinel-user=app&sentinel-password-env=BAD", "redis://app:" + canary + "@" + ancient.Addr() + "?master-name=m",
			"redis://" + redis.Addr() + "?master-name=m&sentinel-user=app&sentinel-password-env=GOOD&password-env=BAD",
		}},
		"etcd": {etcd.Addr(), plainEtcd.Addr(), "root", []string{"password"}, "etcds", "", nil},
		"nats": {nats.Addr(), plainNATS.Addr(), "app", []string{"password"}, "nats", "?tls=true", []string{
			"nats://" + canary + "@" + token.Addr(), "nats://" + canary + "x@" + token.Addr(), "nats://" + token.Addr() + "?token-env=BAD", "nats://" + token.Addr() + "?token-env=GOOD",
			"nats://" + nats.Addr() + "?token-env=GOOD", "nats://" + plainNATS.Addr() + "?monitor=" + url.QueryEscape("http://user:"+canary+"@"+strings.TrimPrefix(plainNATS.MonitorURL(), "http://")),
			"nats://" + plainNATS.Addr() + "?monitor=" + url.QueryEscape("http://user:"+canary+"@127.0.0.1:1"), "nats://" + plainNATS.Addr() + "?monitor=" + url.QueryEscape("http://user:"+url.QueryEscape(odd)+"@127.0.0.1:1/?token="+canary),
			"nats://" + nats.Addr() + "?creds-file=" + credentials(t), "nats://" + nats.Addr() + "?nkey-file=" + credentials(t), "nats://127.0.0.1:1?creds-file=" + credentials(t),
		}},
		"dapr": {dapr.Addr(), plainDapr.Addr(), "", []string{"password"}, "daprs", "", nil},
	}
}

// credentials is a file with a token and a seed. Both hold the canary, and are of no use.
func credentials(t *testing.T) string {
	user, err := nkeys.CreateUser()
	check.NoError(t, err)
	seed, err := user.Seed()
	check.NoError(t, err)
	path := filepath.Join(t.TempDir(), "creds")
	check.NoError(t, os.WriteFile(path, []byte("-----BEGIN NATS USER JWT-----\n"+canary+"\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n"+string(seed)+"\n------END USER NKEY SEED------\n"), 0o600))
	return path
}

// texts returns what can be made of a value.
func texts(v any) (all []string) {
	for _, verb := range []string{"%v", "%s", "%q", "%+v", "%#v", "%x"} {
		all = append(all, fmt.Sprintf(verb, v))
	}
	b, _ := json.Marshal(v)
	var logged bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
		slog.New(h).Info("value", "value", v)
	}
	return append(all, string(b), logged.String())
}

// opener opens a provider.
type opener func(ctx context.Context, url string, opts ...fairlead.Option) (fairlead.Provider, error)

// show opens and uses a provider with a password, demands that nothing shows it, and
// reports whether it was opened.
func show(t *testing.T, open opener, at place) (opened bool) {
	t.Helper()
	written.take() // of the servers' starts
	spans.Reset()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	p, err := open(ctx, short(at.url), fairlead.WithLookupEnv(func(name string) (string, bool) { v, ok := at.env[name]; return v, ok }),
		fairlead.WithLogger(slog.New(slog.NewJSONHandler(&written, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	values := []any{err}
	if err == nil {
		values = append(values, p, struct{ p fairlead.Provider }{p}) // and as a handle has it
		values = append(values, use(ctx, p)...)
		values = append(values, p.Close(ctx))
	}
	for _, span := range spans.GetSpans() {
		values = append(values, span.Name, span.Attributes, span.Events, span.Status, span.Resource.String())
	}
	all := []string{written.take()}
	for _, v := range values {
		all = append(all, texts(v)...)
	}
	for _, text := range all {
		for _, trace := range traces() {
			if i := strings.Index(text, trace); i >= 0 {
				t.Errorf("%s (%s): %q in …%.300s", at.name, at.url, trace, text[max(0, i-150):])
				break
			}
		}
	}
	return err == nil
}

// TestCanary opens, uses and diagnoses every provider with a password, given in every
// way.
func TestCanary(t *testing.T) {
	opened := map[string]bool{}
	for _, at := range places(t) {
		showDiagnosis(t, at)
		if scheme, _, _ := strings.Cut(at.url, ":"); show(t, fairlead.Open, at) {
			opened[scheme] = true
		}
	}
	for _, scheme := range []string{"redis", "etcd", "nats", "dapr", "gocloud+canary"} {
		if !opened[scheme] {
			t.Errorf("no URL of %s was right: the test shows little", scheme)
		}
	}
}

// TestCanaryThroughAPlugin does the same with a provider in another process, whose logs
// and errors come through the host.
func TestCanaryThroughAPlugin(t *testing.T) {
	server, folder := testbed.Redis(t), t.TempDir()
	check.NoError(t, testbed.RedisClient(t, server).Do(t.Context(), "acl", "setuser", "app", "on", ">"+odd, "~*", "&*", "+@all").Err())
	ancient := testbed.Redis(t, testbed.RedisConf(`rename-command HELLO ""`, `rename-command AUTH ""`))
	built := filepath.Join(t.TempDir(), "fairlead-redis")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", built, "fairlead.dev/cmd/fairlead-redis").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, err := plugins.Install(t.Context(), built, folder)
	check.NoError(t, err)
	host, err := plugins.NewHost(plugins.WithFolders(folder), plugins.WithLogger(slog.Default()))
	check.NoError(t, err)
	defer func() { check.NoError(t, host.Close(context.WithoutCancel(t.Context()))) }()
	env := map[string]string{"GOOD": odd, "BAD": canary}
	for u, want := range map[string]bool{
		server.URLFor("app", odd): true, server.URLFor("app", canary): false, "redis://app@" + server.Addr() + "?password-env=GOOD": true,
		"redis://app@" + server.Addr() + "?password-env=BAD": false, ancient.URLFor("app", canary): false, "redis://app:" + canary + "@127.0.0.1:1": false,
		"redis://app:12/" + canary + "@" + server.Addr(): false,
	} {
		if got := show(t, host.Open, place{"a plugin", u, env}); got != want {
			t.Errorf("%s: opened %v", u, got)
		}
	}
	for _, text := range texts(host.Status()) {
		if strings.Contains(text, "c4nary") || strings.Contains(text, "b1rd") {
			t.Errorf("the state of the host: %s", text)
		}
	}
}

// short makes providers give up a server that is not there sooner.
func short(u string) string {
	if strings.HasPrefix(u, "dapr") {
		and := "?"
		if strings.Contains(u, "?") {
			and = "&"
		}
		return u + and + "startup-timeout=500ms"
	}
	return u
}

// use calls every facet, and returns what comes out.
func use(ctx context.Context, p fairlead.Provider) (values []any) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	add := func(all ...any) { values = append(values, all...) }
	add(p.Describe(ctx))
	s, err := kv.Open(ctx, p, "canary")
	add(s, err)
	if err == nil {
		add(s.Put(ctx, "k", []byte("v")))
		add(s.Get(ctx, "k"))
		add(s.Close(ctx))
	}
	topic, err := pubsub.Open(ctx, p, "canary")
	add(topic, err)
	if err == nil {
		add(topic.Publish(ctx, pubsub.Message{Body: []byte("v")}))
		add(topic.Close(ctx))
	}
	sub, err := pubsub.Subscribe(ctx, p, "canary", pubsub.Group("g"), pubsub.FromStart())
	add(sub, err)
	if err == nil {
		add(sub.Close(ctx))
	}
	srv, err := rpc.NewServer(ctx, p, "canary")
	add(srv, err)
	conn, err := rpc.Dial(ctx, p, "canary")
	add(conn, err)
	if err == nil {
		add(conn.Close(ctx))
	}
	add(config.Load[struct{ Size int }](ctx, config.From(p, "canary")))
	return values
}
