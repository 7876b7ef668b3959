package plugins

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/plugins/internal/remote"
	"fairlead.dev/plugins/internal/service"
	"fairlead.dev/providers"
)

// sidecarPrefix begins the schemes of sidecars: plugins that the host does not
// start.
const sidecarPrefix = "sidecar+"

// ReattachEnv is the environment variable with the addresses of plugins that run
// in a debugger: a JSON object of plugin names and addresses, for example
// {"redis":"unix:///tmp/redis.sock"}.
const ReattachEnv = "FAIRLEAD_REATTACH"

// warnAfter is how long a provider waits for a sidecar before it logs a warning.
const warnAfter = 5 * time.Second

func init() {
	providers.Register(providers.Scheme{
		Name: sidecarPrefix + "unix",
		Help: "a plugin that listens on a Unix socket: sidecar+unix:///run/fairlead/redis.sock",
		Settings: []providers.Setting{{
			Name: "transport", Kind: providers.Enum, Default: string(Frames), Values: []string{string(Frames), string(Stream)},
			Help: "transport for calls: frames on a Unix socket of their own, or a gRPC stream",
		}},
		Open: openUnixSidecar,
	})
	providers.Register(providers.Scheme{
		Name: sidecarPrefix + "tcp",
		Help: "a plugin that listens on a TCP port: sidecar+tcp://host:port?ca-file=FILE&cert-file=FILE&key-file=FILE",
		Settings: []providers.Setting{
			{Name: "ca-file", Kind: providers.File, Help: "PEM file with the authorities of the plugin's certificate; by default the system's"},
			{Name: "cert-file", Kind: providers.File, Help: "PEM file with this host's certificate"},
			{Name: "key-file", Kind: providers.File, Help: "PEM file with the certificate's key"},
			{Name: "server-name", Kind: providers.String, Help: "name in the plugin's certificate; by default the host in the URL"},
		},
		Open: openTCPSidecar,
	})
}

// sidecarTarget says how to reach a plugin that the host has not started.
type sidecarTarget struct {
	target  string // of gRPC
	tls     *tls.Config
	sockets bool
}

func openUnixSidecar(ctx context.Context, s providers.Settings) (fairlead.Provider, error) {
	target, err := unixTarget(s.URL)
	if err != nil {
		return nil, err
	}
	at := &sidecarTarget{target: target, sockets: Transport(s.String("transport")) == Frames}
	return at.openProvider(ctx, s)
}

func openTCPSidecar(ctx context.Context, s providers.Settings) (fairlead.Provider, error) {
	target, err := tcpTarget(s.URL)
	if err != nil {
		return nil, err
	}
	conf, err := clientTLS(s)
	if err != nil {
		return nil, err
	}
	at := &sidecarTarget{target: target, tls: conf}
	return at.openProvider(ctx, s)
}

// openProvider opens the backend that the sidecar was started for.
func (at *sidecarTarget) openProvider(ctx context.Context, s providers.Settings) (fairlead.Provider, error) {
	p, err := at.connect(ctx, func() *pluginpb.OpenRequest { return &pluginpb.OpenRequest{} }, s.Logger)
	if err != nil {
		return nil, err // not p: a nil *provider is not a nil Provider
	}
	return p, nil
}

func unixTarget(u *url.URL) (string, error) {
	if u.Host != "" || !strings.HasPrefix(u.Path, "/") || u.Path == "/" || u.User != nil {
		return "", fairlead.Errorf(fairlead.Invalid, "the URL must have the absolute path of a socket, after three slashes: unix:///run/fairlead/redis.sock")
	}
	return "unix://" + u.Path, nil
}

func tcpTarget(u *url.URL) (string, error) {
	if u.Hostname() == "" || u.Port() == "" || (u.Path != "" && u.Path != "/") || u.User != nil {
		return "", fairlead.Errorf(fairlead.Invalid, "the URL must have a host and a port, and nothing else: tcp://host:port")
	}
	return "dns:///" + u.Host, nil
}

// clientTLS returns the TLS configuration of a host. It is nil for a connection
// without TLS, which is only possible to a loopback address.
func clientTLS(s providers.Settings) (*tls.Config, error) {
	given := s.Given("ca-file") || s.Given("server-name")
	switch {
	case s.Given("cert-file") != s.Given("key-file"):
		return nil, fairlead.Errorf(fairlead.Invalid, "the parameters \"cert-file\" and \"key-file\" must be given together")
	case !given && !s.Given("cert-file") && isLoopback(s.URL.Hostname()):
		return nil, nil
	case !s.Given("cert-file"):
		return nil, fairlead.Errorf(fairlead.Invalid, "the parameters \"cert-file\" and \"key-file\" are missing: over TCP, host and plugin authenticate each other with certificates, unless the plugin has a loopback address")
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: s.String("server-name")}
	cert, key := s.String("cert-file"), s.String("key-file")
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "the parameters \"cert-file\" and \"key-file\": %w", err)
	}
	// The files are read again for each connection: certificates are renewed.
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cert, key)
		return &pair, err
	}
	if s.Given("ca-file") {
		pool, err := readPool(s.String("ca-file"))
		if err != nil {
			return nil, fairlead.Errorf(fairlead.Invalid, "the parameter \"ca-file\": %w", err)
		}
		conf.RootCAs = pool
	}
	return conf, nil
}

func readPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate in PEM format", file)
	}
	return pool, nil
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// connect opens a backend. It waits for the plugin until the context ends. Once
// open, the provider reconnects to a plugin that is gone until it is closed.
func (at *sidecarTarget) connect(ctx context.Context, req func() *pluginpb.OpenRequest, log *slog.Logger) (*provider, error) {
	creds := insecure.NewCredentials()
	if at.tls != nil {
		creds = credentials.NewTLS(at.tls)
	}
	conn, err := grpc.NewClient(at.target, append(remote.DialOptions(),
		grpc.WithTransportCredentials(creds),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.3, MaxDelay: time.Second},
			MinConnectTimeout: 5 * time.Second,
		}))...)
	if err != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "%w", err)
	}
	address := strings.TrimPrefix(strings.TrimPrefix(at.target, "dns:///"), "unix://")
	open := func(ctx context.Context) (*remote.Session, error) {
		late := time.AfterFunc(warnAfter, func() { log.Warn("still waiting for a plugin", "address", address) })
		defer late.Stop()
		for {
			s, err := remote.Dial(ctx, waitingConn{conn, address}, req(), at.sockets)
			// If the connection broke during the call, the error does not come
			// from the backend.
			if err == nil || fairlead.CodeOf(err) != fairlead.Unavailable || conn.GetState() == connectivity.Ready || ctx.Err() != nil {
				return s, err
			}
		}
	}
	return newProvider(ctx, open, log, func(context.Context) { _ = conn.Close() })
}

// waitingConn is a connection on which Open waits until the plugin can be reached.
type waitingConn struct {
	*grpc.ClientConn
	address string
}

// Invoke implements [grpc.ClientConnInterface].
func (c waitingConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if method != pluginpb.PluginService_Open_FullMethodName {
		return c.ClientConn.Invoke(ctx, method, args, reply, opts...)
	}
	err := c.ClientConn.Invoke(ctx, method, args, reply, append(opts[:len(opts):len(opts)], grpc.WaitForReady(true))...)
	if err == nil || ctx.Err() == nil {
		return err
	}
	// gRPC's message says why there is no connection.
	return service.StatusError(fairlead.Errorf(fairlead.CodeOf(ctx.Err()), "waiting for the plugin at %s: %s", c.address, status.Convert(err).Message()))
}

// reattach returns how to reach a plugin that runs in a debugger. It returns nil if
// the host has to start the plugin itself.
func reattach(plugin string) (*sidecarTarget, error) {
	text := os.Getenv(ReattachEnv)
	if text == "" {
		return nil, nil
	}
	var all map[string]string
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "the environment variable %s is not a JSON object of plugin names and addresses, for example {\"redis\":\"unix:///tmp/redis.sock\"}: %w", ReattachEnv, err)
	}
	addr, ok := all[plugin]
	if !ok {
		return nil, nil
	}
	at, err := parseReattach(addr)
	if err != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "the environment variable %s has the address %q for %q: %w", ReattachEnv, addr, plugin, err)
	}
	return at, nil
}

func parseReattach(addr string) (*sidecarTarget, error) {
	u, err := url.Parse(addr)
	if err != nil {
		return nil, err
	}
	at := &sidecarTarget{}
	switch {
	case u.Scheme == "unix":
		at.sockets = true
		at.target, err = unixTarget(u)
	case u.Scheme == "tcp" && isLoopback(u.Hostname()):
		at.target, err = tcpTarget(u)
	default:
		err = fmt.Errorf("accepted: unix:///path, tcp://127.0.0.1:port")
	}
	return at, err
}
