package dapr

import (
	"context"

	"fairlead.dev"

	"fairlead.dev/providers"
	"fairlead.dev/rpc/driver"
)

// everyApp, as the parameter "app", says that each service is the app of its
// name.
const everyApp = "*"

// frameRoom is what a request takes beside its message.
const frameRoom = 4096

// rpcSettings declares the parameters of the URL that are the facet's own.
func rpcSettings() []providers.Setting {
	return []providers.Setting{
		{Name: "app", Kind: providers.String,
			Help: "rpc: id of the app that serves all services; without it, or as *, the name of a service is the id of its app"},
	}
}

// rpcConfig is what the URL says of the facet.
type rpcConfig struct{ app string }

func newRPCConfig(s providers.Settings) rpcConfig { return rpcConfig{app: s.String("app")} }

// offersRPC reports whether there is anything to call: a sidecar without an
// app's port has nothing to do with rpc, unless the URL says whom to call.
func (p *provider) offersRPC(st state) bool { return st.appPort > 0 || p.config.app != "" }

// appOf returns the id of the app that serves a service.
func (p *provider) appOf(service string) string {
	if p.config.app == "" || p.config.app == everyApp {
		return service
	}
	return p.config.app
}

// rpcFacet says what the rpc facet promises.
func (p *provider) rpcFacet(st state) fairlead.FacetDescription {
	f := fairlead.FacetDescription{
		Facet:  fairlead.RPC,
		Claims: []fairlead.Claim{fairlead.Shared, driver.ClaimFullDuplex, driver.ClaimFlowControl},
		Missing: []fairlead.Missing{
			{Claim: driver.ClaimLoadBalance, Reason: "which of several sidecars of an app is called is up to Dapr's name resolution, and mdns takes one for all calls"},
			{Claim: driver.ClaimDirectory, Reason: "calls go through the sidecars"},
		},
		Limits: fairlead.Limits{MaxFrameBytes: p.config.maxBody - frameRoom},
	}
	if st.refusesFast {
		f.Claims = append(f.Claims, driver.ClaimFastNoResponder)
		return f
	}
	f.Missing = append(f.Missing, fairlead.Missing{
		Claim: driver.ClaimFastNoResponder, Reason: "Dapr's name resolution takes long to say that there is no app of a name",
		Remedy: "use another component than mdns for it, as sqlite, consul or Kubernetes",
	})
	return f
}

// Listen implements [driver.Carrier].
func (p *provider) Listen(ctx context.Context, c driver.ListenConfig) (driver.Listener, error) {
	if err := p.usable(ctx); err != nil {
		return nil, err
	}
	st := p.current.Load()
	switch app := p.appOf(c.Service); {
	case st.appPort == 0:
		return nil, invalid("the sidecar knows no port of this program, and so takes no calls for it; start it with --app-port and --app-protocol grpc")
	case app != st.appID:
		return nil, invalid("the service %q is looked for at the app %q, and the sidecar's app is %q; serve it under that name, or name that app in the parameter \"app\"", c.Service, app, st.appID)
	}
	server, err := p.appServer(st.appPort)
	if err != nil {
		return nil, err
	}
	return server.listen(p, c.Service), nil
}

// usable returns an error if a call comes too late.
func (p *provider) usable(ctx context.Context) error {
	if p.life.Err() != nil {
		return errClosed
	}
	if ctx.Err() != nil {
		return fairlead.ContextError(ctx)
	}
	return nil
}
