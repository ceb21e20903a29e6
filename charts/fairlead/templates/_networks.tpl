{{- /*
Refuses IPv4 networks with bits behind the prefix, which the operator would end with. IPv6 is the operator's to judge.
Takes a dict: `name` of the value, `networks`.
*/}}
{{- define "fairlead.checkNetworks" -}}
{{- $name := .name }}
{{- range .networks }}
{{- if contains "." . }}
{{- $parts := splitList "/" . }}
{{- $address := 0 }}
{{- range splitList "." (first $parts) }}
{{- $address = add (mul $address 256) (int64 .) }}
{{- end }}
{{- $size := 1 }}
{{- range until (int (max 0 (sub 32 (int64 (last $parts))))) }}
{{- $size = mul $size 2 }}
{{- end }}
{{- if mod $address $size }}
{{- fail (printf "%s: %s must be a network without bits behind the prefix, such as 10.42.0.0/16 or 192.0.2.7/32" $name .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
