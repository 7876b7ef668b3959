package plugins

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/plugins/internal/process"
	"fairlead.dev/plugins/internal/service"
)

// Exit codes of a plugin.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// orphanTimeout is how long a plugin may take to end after its host has gone.
const orphanTimeout = 1500 * time.Millisecond

// URLEnv is the environment variable with the backend's URL for a plugin that is
// started with --listen. The flags --url and --url-file take precedence.
const URLEnv = "FAIRLEAD_URL"

// Main is the body of a plugin's main function. The plugin offers the schemes
// of the provider packages that the program imports:
//
//	package main
//
//	import (
//		"fairlead.dev/plugins"
//		_ "fairlead.dev/providers/redis"
//	)
//
//	func main() { plugins.Main("redis") }
//
// The binary must be named fairlead-NAME. Started by a host, it serves that host
// and ends with it. Started with --listen, it is a sidecar; --help shows the flags.
// Main does not return.
func Main(name string) {
	os.Exit(runPlugin(name, os.Args[1:], os.Stdout, os.Stderr))
}

// arguments are the command-line arguments of a plugin.
type arguments struct {
	manifest, version bool
	check             string
	sidecarArguments
}

func runPlugin(name string, args []string, stdout, stderr io.Writer) int {
	var a arguments
	flags := a.flags(name)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage(name, flags))
		return exitOK
	case err == nil && flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err != nil {
		return reportError(stderr, name, exitUsage, fmt.Errorf("%w; see --help", err))
	}
	return a.runMode(name, stdout, stderr)
}

func (a *arguments) runMode(name string, stdout, stderr io.Writer) int {
	defer runtime.KeepAlive(ballast())
	switch {
	case a.manifest:
		_, _ = stdout.Write(ownManifest(name).encode())
		return exitOK
	case a.version:
		fmt.Fprintln(stdout, version(name))
		return exitOK
	case a.check != "":
		return reportError(stderr, name, exitFailure, checkSidecar(a.check))
	case a.listen != "":
		if err := a.validate(); err != nil {
			return reportError(stderr, name, exitUsage, err)
		}
		return reportError(stderr, name, exitFailure, serveSidecar(name, a.sidecarArguments))
	case process.Launched():
		serveHost(name)
		return exitOK
	default:
		return reportError(stderr, name, exitUsage, errors.New(
			"this is a plugin, which programs start themselves; to run it as a sidecar for many programs, start it with --listen (see --help)"))
	}
}

// ballast is counted by the garbage collector and never touched. It takes no memory
// itself, and allows as much garbage to accumulate. Without it, the few megabytes
// that most plugins use would be collected a hundred times a second.
func ballast() []byte { return make([]byte, 16<<20) }

func reportError(stderr io.Writer, name string, code int, err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "%s%s: %v\n", prefix, name, err)
	return code
}

func (a *arguments) flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(prefix+name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.BoolVar(&a.manifest, "manifest", false, "print the manifest, without the checksum")
	f.BoolVar(&a.version, "version", false, "print the version")
	f.StringVar(&a.check, "check", "", "check the health of the sidecar at `address`; exit with 0 if it serves")
	f.StringVar(&a.listen, "listen", "", "serve as a sidecar at `address`: unix:///path or tcp://host:port")
	f.StringVar(&a.url, "url", "", "`URL` of the backend that the sidecar serves; other users can see it: prefer --url-file or the environment variable "+URLEnv)
	f.StringVar(&a.urlFile, "url-file", "", "`file` with the URL")
	f.StringVar(&a.cert, "tls-cert", "", "PEM `file` with the sidecar's certificate")
	f.StringVar(&a.key, "tls-key", "", "PEM `file` with the certificate's key")
	f.StringVar(&a.clientCA, "tls-client-ca", "", "PEM `file` with the authorities of the hosts' certificates")
	return f
}

func usage(name string, f *flag.FlagSet) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s is a plugin of Fairlead. It offers:\n\n", prefix, name)
	for _, s := range ownManifest(name).Schemes {
		fmt.Fprintf(&b, "  %s://  %s\n", s.Name, s.Help)
	}
	fmt.Fprintf(&b, `
Programs start it themselves when they open a URL such as "plugin+%s://…". Flags:

`, ownManifest(name).firstScheme())
	f.VisitAll(func(f *flag.Flag) {
		value, help := flag.UnquoteUsage(f)
		fmt.Fprintf(&b, "  --%s %s\n\t%s\n", f.Name, value, help)
	})
	fmt.Fprintf(&b, `
A sidecar serves any number of hosts, until SIGTERM. Hosts open it with the URL
sidecar+unix:///path or sidecar+tcp://host:port. Over TCP it needs the URL of a
backend. On a Unix socket, a sidecar without a URL opens the URLs that hosts of
its own user send; only a host with %s sends them. Over TCP, hosts and
sidecar authenticate each other with certificates, unless the address is a
loopback address: then every user of the machine can use the backend. The environment variable FAIRLEAD_LOG_LEVEL sets the lowest
level that is logged: debug, info, warn, error.
`, ReattachEnv)
	return b.String()
}

func (m Manifest) firstScheme() string {
	if len(m.Schemes) == 0 {
		return m.Name
	}
	return m.Schemes[0].Name
}

func version(name string) string {
	v := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok {
		v = info.Main.Version
		for _, d := range info.Deps {
			if d.Path == "fairlead.dev" {
				v += ", fairlead.dev " + d.Version
			}
		}
	}
	return fmt.Sprintf("%s%s %s, protocol %d", prefix, name, v, process.Version)
}

// serveHost serves the host that has launched this process until the host ends.
func serveHost(name string) {
	log := newLog(name)
	ctx, end := context.WithCancel(context.Background())
	defer end()
	var s *service.Service
	drain := sync.OnceFunc(func() {
		go func() {
			defer end()
			closeSessions(s, log)
		}()
	})
	s = service.New(service.Config{Open: hostOpener(log), Log: log, HostLost: drain})
	onSignal([]os.Signal{syscall.SIGTERM}, drain)
	// Ctrl-C is meant for the host. When the host is gone, no process reads this
	// process's log, but it still has to close its sessions: SIGPIPE must not end it.
	signal.Ignore(os.Interrupt, syscall.SIGPIPE)
	if dir := os.Getenv(process.SocketDirEnv); dir != "" {
		if err := s.ListenFrames(filepath.Join(dir, "frames-"+randomSuffix()+".sock")); err != nil {
			log.Warn("cannot listen on the frame socket; calls use the gRPC stream", "error", err)
		}
	}
	process.Serve(ctx,
		func(r grpc.ServiceRegistrar) { pluginpb.RegisterPluginServiceServer(r, s) },
		func() {
			time.AfterFunc(orphanTimeout, end)
			drain()
		},
		service.ServerOptions()...)
}

// closeSessions closes all sessions.
func closeSessions(s *service.Service, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		log.Warn("closing the sessions failed", "error", err)
	}
}

// onSignal calls f at the first of the signals. A second one ends the process.
func onSignal(signals []os.Signal, f func()) {
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, func() {
		stop()
		f()
	})
}

// newLog returns a logger that writes records for the host to standard error.
func newLog(name string) *slog.Logger {
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: process.LogLevel()}))
	slog.SetDefault(log)
	return log
}

// hostOpener returns a function that opens the URLs of hosts. Of the environment it
// uses what the host has sent: a host never names a variable of this process.
func hostOpener(log *slog.Logger) func(context.Context, string, map[string]string) (fairlead.Provider, error) {
	return func(ctx context.Context, url string, env map[string]string) (fairlead.Provider, error) {
		lookup := func(name string) (value string, ok bool) {
			value, ok = env[name]
			return value, ok
		}
		return fairlead.Open(ctx, url, fairlead.WithLookupEnv(lookup), fairlead.WithLogger(log))
	}
}

func randomSuffix() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
