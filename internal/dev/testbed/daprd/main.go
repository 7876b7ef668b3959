// Command daprd is the Dapr runtime with the few components that the tests use,
// run in separate processes. It takes daprd's own flags:
//
//	daprd --app-id NAME --resources-path DIR --dapr-grpc-port PORT …
//
// Components: state.redis, state.in-memory, pubsub.redis, pubsub.in-memory,
// configuration.redis; name resolution by mdns and by sqlite; and state.careless,
// which keeps none of its promises.
//
// The runtime's own main starts only if it links every component, which are
// hundreds of modules. This program is a separate module, so that none of them
// becomes a dependency of a program that imports fairlead.dev.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/dapr/kit/concurrency"
	"github.com/dapr/kit/logger"
	"go.opencensus.io/stats/view"

	"github.com/dapr/dapr/cmd/daprd/options"
	"github.com/dapr/dapr/pkg/healthz"
	"github.com/dapr/dapr/pkg/metrics"
	"github.com/dapr/dapr/pkg/modes"
	"github.com/dapr/dapr/pkg/runtime"
	"github.com/dapr/dapr/pkg/runtime/registry"
	"github.com/dapr/dapr/pkg/security"
)

var log = logger.NewLogger("dapr.runtime")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "daprd:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	opts, err := options.New(os.Args[1:])
	if err != nil {
		return err
	}
	opts.Logger.SetAppID(opts.AppID)
	if err := logger.ApplyOptionsToLoggers(&opts.Logger); err != nil {
		return err
	}
	reg := components(logger.NewLogger("dapr.contrib"))
	health := healthz.New()
	sec, err := security.New(ctx, security.Options{
		AppID:                   opts.AppID,
		Mode:                    modes.DaprMode(opts.Mode),
		ControlPlaneTrustDomain: opts.ControlPlaneTrustDomain,
		ControlPlaneNamespace:   opts.ControlPlaneNamespace,
		Healthz:                 health,
	})
	if err != nil {
		return err
	}
	serve := func(ctx context.Context) error { return serve(ctx, config(opts, reg, health), sec) }
	return concurrency.NewRunnerManager(sec.Run, serve).Run(ctx)
}

// serve runs the runtime until ctx ends.
func serve(ctx context.Context, cfg *runtime.Config, sec security.Provider) (err error) {
	if cfg.Security, err = sec.Handler(ctx); err != nil {
		return err
	}
	daprd, err := runtime.FromConfig(ctx, cfg)
	if err != nil {
		return err
	}
	return daprd.Run(ctx)
}

// config returns the configuration that the flags describe: standalone mode,
// without a control plane. The defaults of the flags matter: the runtime does not start
// with zeros in their place.
func config(o *options.Options, reg *registry.Options, health healthz.Healthz) *runtime.Config {
	return &runtime.Config{
		AppID: o.AppID, Mode: o.Mode, Config: o.Config, ResourcesPath: o.ResourcesPath, Registry: reg, Healthz: health,

		ApplicationPort: o.AppPort, AppProtocol: o.AppProtocol, AppChannelAddress: o.AppChannelAddress,
		AppMaxConcurrency: o.AppMaxConcurrency, EnableAppHealthCheck: o.EnableAppHealthCheck,
		AppHealthCheckPath: o.AppHealthCheckPath, AppHealthProbeInterval: o.AppHealthProbeInterval,
		AppHealthProbeTimeout: o.AppHealthProbeTimeout, AppHealthThreshold: o.AppHealthThreshold,

		DaprHTTPPort: o.DaprHTTPPort, DaprAPIGRPCPort: o.DaprAPIGRPCPort, DaprAPIListenAddresses: o.DaprAPIListenAddresses,
		DaprInternalGRPCPort: o.DaprInternalGRPCPort, DaprInternalGRPCListenAddress: o.DaprInternalGRPCListenAddress,
		DaprPublicPort: o.DaprPublicPort, DaprPublicListenAddress: o.DaprPublicListenAddress,
		ProfilePort: o.ProfilePort, AllowedOrigins: o.AllowedOrigins, EnableAPILogging: o.EnableAPILogging,
		MaxRequestSize: o.MaxRequestSize, ReadBufferSize: o.ReadBufferSize,
		DaprGracefulShutdownSeconds: o.DaprGracefulShutdownSeconds, DaprBlockShutdownDuration: o.DaprBlockShutdownDuration,

		ActorsService: o.ActorsService, ActorsDisseminationTimeout: o.ActorsDisseminationTimeout,
		SchedulerAddress: o.SchedulerAddress, SchedulerStreams: o.SchedulerJobStreams,

		Metrics: metrics.Options{
			Enabled: o.Metrics.Enabled(), Port: o.Metrics.Port(), ListenAddress: o.Metrics.ListenAddress(),
			Namespace: metrics.DefaultMetricNamespace, Log: log, Healthz: health, Meter: view.NewMeter(),
		},
	}
}
