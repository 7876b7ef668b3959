package dapr

import (
	"context"

	"fairlead.dev"

	"fairlead.dev/providers"
	"fairlead.dev/rpc/driver"
)

// everyApp, as the setting "app", means that each service is the app of its
// name.
const everyApp = "*"

// frameRoom is the size of a request beside its message.
const frameRoom = 4096

// rpcSettings declares the URL settings of the rpc facet.
func rpcSettings() []providers.Setting {
	return []providers.Setting{
		{Name: "app", Kind: providers.String,
			Help: "rpc: id of the app that serves all services; if it is missing or *, the name of a service is the id of its app"},
	}
}

// rpcConfig holds the URL settings of the rpc facet.
type rpcConfig struct{ app string }

func newRPCConfig(s providers.Settings) rpcConfig { return rpcConfig{app: s.String("app")} }

// offersRPC reports whether the facet is offered: the sidecar has an app's port,
// or the URL names an app.
func (p *provider) offersRPC(st sidecarState) bool { return st.appPort > 0 || p.config.app != "" }

// appOf returns the id of the app that serves a service.
func (p *provider) appOf(service string) string {
	if p.config.app == "" || p.config.app == everyApp {
		return service
	}
	return p.config.app
}

// rpcFacet describes the rpc facet.
func (p *provider) rpcFacet(st sidecarState) fairlead.FacetDescription {
	f := fairlead.FacetDescription{
		Facet:  fairlead.RPC,
		Claims: []fairlead.Claim{fairlead.Shared, driver.ClaimFullDuplex, driver.ClaimFlowControl},
		Missing: []fairlead.Missing{
			{Claim: driver.ClaimLoadBalance, Reason: "Dapr's name resolution chooses the sidecar of an app, and mdns chooses one for all calls"},
			{Claim: driver.ClaimDirectory, Reason: "calls go through the sidecars"},
		},
		Limits: fairlead.Limits{MaxFrameBytes: p.config.maxBody - frameRoom},
	}
	if st.refusesFast {
		f.Claims = append(f.Claims, driver.ClaimFastNoResponder)
		return f
	}
	f.Missing = append(f.Missing, fairlead.Missing{
		Claim: driver.ClaimFastNoResponder, Reason: "Dapr's name resolution takes too long to report that an app does not exist",
		Remedy: "use another name resolution component than mdns, for example sqlite, consul or Kubernetes",
	})
	return f
}

// Listen implements [driver.Carrier].
func (p *provider) Listen(ctx context.Context, c driver.ListenConfig) (driver.Listener, error) {
	if err := p.life.Check(ctx); err != nil {
		return nil, err
	}
	st := p.current.Load()
	switch app := p.appOf(c.Service); {
	case st.appPort == 0:
		return nil, invalid("the sidecar knows no port of this program and accepts no calls for it; start the sidecar with --app-port and --app-protocol grpc")
	case app != st.appID:
		return nil, invalid("clients call the service %q at the app %q, but the sidecar's app is %q; rename one of them, or name the app in the setting \"app\"", c.Service, app, st.appID)
	}
	server, err := p.appServer(st.appPort)
	if err != nil {
		return nil, err
	}
	return server.listen(p, c.Service), nil
}
