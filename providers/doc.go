// Package providers is the kit for authors of providers. Programs that only use
// providers need package fairlead.dev instead.
//
// A provider's package registers a [Scheme] from its init function:
//
//	func init() {
//		providers.Register(providers.Scheme{
//			Name:     "acme",
//			Help:     "an Acme server: acme://127.0.0.1:4000",
//			Settings: providers.PasswordSettings(),
//			Open:     open,
//		})
//	}
//
// [Settings] is the validated URL that Open receives. [Live] holds the
// description of an open provider, and [Live.Keep] keeps it true.
//
// What a provider implements for each facet stands in the driver packages:
// kv/driver, pubsub/driver, rpc/driver and config/driver.
//
// This package imports the root package and the standard library only.
package providers
