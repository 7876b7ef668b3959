// Package config reads configuration from layers into a struct, keeps it up to
// date while the program runs, and writes settings that several programs share.
//
// # Layers
//
// [Load] reads layers once; [Watch] reads them and follows those that change.
// A later layer wins over an earlier one, key by key; [github.com/knadh/koanf/v2]
// merges. From the least to the most important, a usual program names
//
//	w, err := config.Watch[Settings](ctx,
//		config.File("app.yaml"),        // YAML, JSON or TOML, by extension; polled
//		config.Env("APP_"),             // read once
//		config.From(p, "app"),          // a provider; followed
//		config.Flags(flag.CommandLine), // those that were given; read once
//	)
//
// Below all of them lie the defaults of the struct: the tag default:"5s", or
// the layer [Defaults]. Lists are replaced as a whole; groups (structs and
// maps) are merged.
//
// [FromURL] names a layer by a URL: a program that takes it from its command
// line need not know whether its settings are in a file or on a backend.
//
// # Keys
//
// A key names a field by its path. Its parts are separated by "." or "/" in a
// provider and in [Map] and [Flags], by "__" in environment variables, and are
// nested groups in a file. A part matches a field whose name, or whose name in
// the tag config:"name", is the same without regard to case, "_" and "-":
// RATE_LIMIT, rate-limit and rateLimit are all the field RateLimit. Embedded
// structs count as part of the struct that embeds them. The tag config:"-"
// leaves a field out, and config:"name,secret" (or config:",secret") marks one
// whose value is a secret; see Secrets. The keys of a map are taken as they are (in lower case
// from the environment); they cannot hold the separator.
//
// A key that names no field is passed over, or rejects the update under
// [Strict].
//
// # Values
//
// Values from providers, environment and flags are text: whole numbers (in
// decimal), true or false, durations with a unit, whatever an
// [encoding.TextUnmarshaler] accepts, lists as a JSON array or separated by
// commas, groups as a JSON object. A field of type []byte takes the bytes as
// they are. An empty value is a value: an empty string for a string, an error
// for a number. It hides the layers below, while a deleted key lets them show.
//
// Files have types of their own, and nothing is converted silently: a number
// must fit its field, a fraction is no whole number, a number without a unit
// is no duration, and 8080 is no string unless it is quoted.
//
// # Updates
//
// [Watcher.Get] returns the present settings; it costs one load of a pointer.
// What it points to is shared with everybody who calls it and is never
// changed: do not change it.
//
// An update is applied whole: a layer's content is replaced at once, merged,
// decoded, and checked with T's or *T's method Validate() error if there is
// one. Where the source claims [Snapshot], all keys of one Set (or of one kv
// Txn) appear together; where it does not, a reader may see a part of a Set
// for a while, which [QuietPeriod] makes less likely. If any step fails, the
// update is rejected: nothing changes, and [OnError] and [Watcher.Health] tell
// the layer, the key and the reason (see [Rejected]). A layer's rejected content is tried again whenever another
// layer changes, since Validate may depend on both; the other layer's change
// is not held up by it.
//
// If a source cannot be reached, the present settings stay, Health says so
// within seconds, and the watcher catches up when the source is back. Changes
// in between may be passed over; the last state is always reached.
//
// The counter fairlead.config.updates (OpenTelemetry) has the attributes
// fairlead.config.layer and fairlead.config.outcome: applied, rejected or
// unreachable, which counts the times that a layer went out of reach.
//
// [Watcher.OnChange] has a function called after each change, and the function
// [OnChange] for each change of a part. All callbacks of a watcher are called
// in order and never concurrently; a panic in one is contained and reported.
//
// # Where a value comes from
//
// [Watcher.Explain] lists for each key the layers that have it, whose value
// holds, and what is rejected at present. The function [Explain] does so
// without a watcher, for layers that may not even decode, as does the command
// "fairlead config explain".
//
// # Secrets
//
// No error of this package holds a value, secret or not, nor the text of a
// file's parser, which may quote the file. The value of a field that is marked
// as secret (of a group: all in it) is [Redacted] in explanations, in what
// [Redact] returns for a log, and wherever it occurs in the text of an error
// that Validate returned or in that of a callback's panic. The struct itself
// holds the secrets: a program that prints it prints them. Without a struct, as
// in the command, [SecretName] goes by the name of the key.
//
// # Sources
//
// [Open] gives access to the settings of a provider as they are: keys with
// bytes. A provider that describes the config facet has its own; otherwise the
// settings named X are the keys of the kv store named X, if the kv facet claims
// kv.List and kv.Watch. [Describe] says which claims hold in either case. A
// kv.Store of that name reaches the same keys. Settings in a store have no
// time to live: a key that was written with one elsewhere vanishes at its end,
// on its own.
//
// # Limits
//
// Files are polled and never locked. A content is taken only when two polls in
// a row have seen it, which hides most half-written files; one whose writer
// pauses for a second may be taken as it is, if it is well-formed. Write a file
// beside it and rename that to be sure, as editors and Kubernetes do. Two files
// are two layers, also in one ConfigMap: their changes may be applied one after
// the other. Environment variables and flags are not read again.
package config
