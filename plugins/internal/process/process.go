package process

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// Version is the version of the protocol that this package speaks.
const Version = 1

const (
	// startTimeout bounds a launch whose context does not.
	startTimeout = 60 * time.Second
	// killTimeout bounds the wait for a killed process to be gone.
	killTimeout = 10 * time.Second
)

// Spec says what to launch, and how.
type Spec struct {
	Name string // of the plugin, for errors
	Path string // of the binary
	// Binary is the open binary. On Linux with /proc this file is run, whatever
	// Path names by then. May be nil.
	Binary *os.File
	Env    []string
	// SocketDir is the directory in which the folder for the plugin's sockets is
	// created; empty for the default.
	SocketDir string
	Dial      []grpc.DialOption
	// Log gets the plugin's output: records of slog's or hclog's JSON handler with
	// their levels; other lines of stderr at the level that their first word names,
	// or else as Info; and lines of stdout as Info.
	Log *slog.Logger
}

// Process is a plugin that was launched. Its methods may be called
// concurrently.
type Process struct {
	child       *child
	conn        *grpc.ClientConn
	dir         *SocketDir
	lifetime    pluginpb.PluginService_LifetimeClient
	endLifetime context.CancelFunc // of the lifetime stream
	lost        chan struct{}
	cleanup     sync.Once
}

// Launch starts a plugin and returns when the plugin is ready: it serves the
// protocol and holds the Lifetime stream. If Launch fails, no process is left, and
// the error has the last lines that the plugin wrote.
func Launch(ctx context.Context, spec Spec) (*Process, error) {
	dir, err := NewSocketDir(spec.SocketDir)
	if err != nil {
		return nil, err
	}
	p := &Process{child: newChild(spec, dir.Path), dir: dir, lost: make(chan struct{})}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, p.child.killGroup)
	defer stop()
	if err := p.connectToPlugin(spec); err != nil {
		p.child.awaitExit()
		err = errors.Join(err, p.Kill())
		return nil, p.launchError(ctx, spec, err)
	}
	return p, nil
}

func (p *Process) connectToPlugin(spec Spec) error {
	c := p.clientConfig()
	addr, err := goplugin.NewClient(c).Start()
	if err != nil {
		return err
	}
	if p.conn, err = dial(addr, c.TLSConfig, spec.Dial); err != nil {
		return err
	}
	return p.holdLifetime()
}

// clientConfig returns a new configuration for each launch.
func (p *Process) clientConfig() *goplugin.ClientConfig {
	return &goplugin.ClientConfig{
		HandshakeConfig:  handshakeConfig(),
		VersionedPlugins: map[int]goplugin.PluginSet{Version: {pluginName: grpcPlugin{}}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     startTimeout,
		Logger:           hclog.NewNullLogger(),
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: p.dir.Path},
		RunnerFunc: func(_ hclog.Logger, handshake *exec.Cmd, dir string) (runner.Runner, error) {
			p.child.addEnv(handshake.Env)
			return p.child, os.Remove(dir) // the child has a folder already
		},
	}
}

func dial(addr net.Addr, conf *tls.Config, opts []grpc.DialOption) (*grpc.ClientConn, error) {
	target := "passthrough:///" + addr.String()
	if addr.Network() == "unix" {
		target = "unix:" + addr.String()
	}
	opts = append([]grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(conf)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 2, MaxDelay: time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
	}, opts...)
	return grpc.NewClient(target, opts...)
}

// holdLifetime opens the Lifetime stream, whose end makes the plugin end, and waits
// until the plugin is ready.
func (p *Process) holdLifetime() error {
	ctx, cancel := context.WithCancel(context.Background())
	p.endLifetime = cancel
	stream, err := pluginpb.NewPluginServiceClient(p.conn).Lifetime(ctx)
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) == codes.Unimplemented {
		return fmt.Errorf("it does not serve fairlead.plugin.v1.PluginService: %w", err)
	}
	if err != nil {
		return fmt.Errorf("opening the Lifetime stream: %w", err)
	}
	p.lifetime = stream
	go func() {
		defer close(p.lost)
		for err == nil {
			_, err = stream.Recv()
		}
	}()
	return nil
}

// launchError returns the error of a failed launch. The process has ended.
func (p *Process) launchError(ctx context.Context, spec Spec, err error) error {
	what := err.Error()
	switch state := p.child.state(); {
	case ctx.Err() != nil:
		err, what = ctx.Err(), "it was not ready in time: "+ctx.Err().Error()
	case p.child.exitedUnkilled():
		what = "it ended before it was ready (" + state + ")"
	case strings.HasPrefix(what, "incompatible API version"):
		what = fmt.Sprintf("it does not speak version %d of the protocol; build it with a version of fairlead.dev that does", Version)
	}
	return &LaunchError{Name: spec.Name, What: what, Stderr: p.Stderr(), Err: err}
}

// LaunchError says why a plugin could not be launched.
type LaunchError struct {
	Name   string
	What   string
	Stderr []string // the last lines that the plugin wrote
	Err    error
}

// Error implements error.
func (e *LaunchError) Error() string {
	return fmt.Sprintf("plugin %s: %s%s", e.Name, e.What, LastLines(e.Stderr))
}

// IsTimeout reports whether a plugin could not be launched because it was not ready
// in time.
func IsTimeout(err error) bool {
	var e *LaunchError
	return errors.As(err, &e) && errors.Is(e.Err, context.DeadlineExceeded)
}

// Unwrap returns the cause.
func (e *LaunchError) Unwrap() error { return e.Err }

// LastLines formats what Stderr returns for the end of an error's text.
func LastLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return "; its last output:\n  " + strings.Join(lines, "\n  ")
}

// Conn returns the connection for the protocol's control plane. Stop and Kill close
// it.
func (p *Process) Conn() *grpc.ClientConn { return p.conn }

// Connected reports whether the connection was up when it was last used.
func (p *Process) Connected() bool { return p.conn.GetState() == connectivity.Ready }

// PID returns the plugin's process id.
func (p *Process) PID() int { return p.child.pid() }

// Exited is closed when the process has ended, all of its output has been read, and
// its process group was killed.
func (p *Process) Exited() <-chan struct{} { return p.child.exited }

// Lost is closed when the Lifetime stream has ended: the plugin is ending, or does
// not serve the stream any more.
func (p *Process) Lost() <-chan struct{} { return p.lost }

// State says how the process ended, for example "exit status 1" or "signal: killed".
func (p *Process) State() string { return p.child.state() }

// Stderr returns the last lines that the plugin wrote to its standard error.
func (p *Process) Stderr() []string { return p.child.tail.lines() }

// Check makes a health check of the plugin. It returns when the plugin replies or
// the context ends.
func (p *Process) Check(ctx context.Context) error {
	r, err := grpc_health_v1.NewHealthClient(p.conn).Check(ctx,
		&grpc_health_v1.HealthCheckRequest{Service: goplugin.GRPCServiceName})
	switch {
	case status.Code(err) == codes.Unimplemented:
		return nil
	case err != nil:
		return err
	case r.Status != grpc_health_v1.HealthCheckResponse_SERVING:
		return errors.New("its health status is " + r.Status.String())
	}
	return nil
}

// Stop lets the plugin finish its calls and end. When the context ends first, the
// plugin is killed. Stop returns when the process has ended.
func (p *Process) Stop(ctx context.Context) error {
	_ = p.lifetime.CloseSend()
	select {
	case <-p.Exited():
	case <-ctx.Done():
	}
	return p.Kill()
}

// Kill kills the process and its whole group. It returns when the process has ended
// and its resources are released. It may be called again, and after Stop.
func (p *Process) Kill() error {
	p.child.killGroup()
	p.child.endUnstarted()
	defer p.cleanup.Do(p.releaseResources)
	select {
	case <-p.Exited():
		return nil
	case <-time.After(killTimeout):
		return fmt.Errorf("process %d was killed and still exists after %v", p.PID(), killTimeout)
	}
}

func (p *Process) releaseResources() {
	if p.endLifetime != nil {
		p.endLifetime()
	}
	if p.lifetime != nil {
		<-p.lost
	}
	if p.conn != nil {
		_ = p.conn.Close()
	}
	p.dir.Remove()
}
