{{/* Where the certificate of the stream and the trust in it come from. */}}

{{/* The source; YAML reads a bare `off` as false. */}}
{{- define "rollcall.certificates.source" -}}
{{- .Values.certificates.source | default "off" }}
{{- end }}

{{/* Every name by which clients call the controller, as a YAML list. The third is the one that the DNS servers ask for. */}}
{{- define "rollcall.certificates.names" -}}
{{- $service := include "rollcall.controller.fullname" . }}
{{- $namespace := include "rollcall.namespace" . -}}
- {{ $service }}
- {{ $service }}.{{ $namespace }}
- {{ include "rollcall.certificates.serverName" . }}
- {{ $service }}.{{ $namespace }}.svc.{{ .Values.clusterDomain }}
{{- range .Values.certificates.extraNames }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{- define "rollcall.certificates.serverName" -}}
{{ include "rollcall.controller.fullname" . }}.{{ include "rollcall.namespace" . }}.svc
{{- end }}

{{/* The authority's Secret and ConfigMap, which the controller fills. */}}
{{- define "rollcall.certificates.authoritySecret" -}}
{{ include "rollcall.fullname" . }}-authority
{{- end }}

{{- define "rollcall.certificates.authorityConfigMap" -}}
{{ include "rollcall.fullname" . }}-ca
{{- end }}

{{/* The Secret of type kubernetes.io/tls that the controller mounts; empty if the source needs none. */}}
{{- define "rollcall.certificates.serverSecret" -}}
{{- $source := include "rollcall.certificates.source" . }}
{{- if eq $source "certManager" }}
{{- include "rollcall.fullname" . }}-tls
{{- else if eq $source "secret" }}
{{- required "certificates.secret.name is required with certificates.source secret: name the kubernetes.io/tls Secret of the stream's certificate" .Values.certificates.secret.name }}
{{- end }}
{{- end }}

{{/* The volume in which the DNS servers find the authorities that they trust, and nothing else. */}}
{{- define "rollcall.certificates.bundleVolume" -}}
{{- $bundle := .Values.certificates.caBundle }}
{{- $own := not (or $bundle.configMapName $bundle.secretName) }}
{{- $authority := and $own (eq (include "rollcall.certificates.source" .) "authority") -}}
name: catalog-ca
{{- if or $bundle.configMapName $authority }}
configMap:
  name: {{ $bundle.configMapName | default (include "rollcall.certificates.authorityConfigMap" .) }}
{{- else }}
secret:
  secretName: {{ $bundle.secretName | default (include "rollcall.certificates.serverSecret" .) }}
{{- end }}
  {{- if not $authority }}
  # The server starts without it, and says what is missing better than a pod that hangs.
  optional: true
  {{- end }}
  {{- if $authority }}
  # The pod waits for this key, which the controller writes within seconds of its own start. An optional volume would be
  # looked at again only about once a minute.
  {{- end }}
  items:
  - key: {{ ternary "ca.crt" $bundle.key $own }}
    path: ca.crt
{{- end }}

{{/* The volume of the authorities that go into bootstrap files; empty where the controller has them itself, or there are no such files. */}}
{{- define "rollcall.certificates.bootstrapCa" -}}
{{- $bundle := .Values.certificates.caBundle }}
{{- $source := include "rollcall.certificates.source" . }}
{{- $own := and (eq $source "authority") (not (or $bundle.configMapName $bundle.secretName)) }}
{{- if and .Values.bootstrap.namespaces (ne $source "off") (not $own) }}
{{- include "rollcall.certificates.bundleVolume" . }}
{{- end }}
{{- end }}

{{/* The volume of the authorities of client certificates; empty if none are named. */}}
{{- define "rollcall.certificates.clientCa" -}}
{{- $ca := .Values.certificates.clientCa }}
{{- if $ca.secretName -}}
secret:
  secretName: {{ $ca.secretName }}
  optional: true
  items:
  - key: {{ $ca.key }}
    path: ca.crt
{{- else if $ca.configMapName -}}
configMap:
  name: {{ $ca.configMapName }}
  optional: true
  items:
  - key: {{ $ca.key }}
    path: ca.crt
{{- end }}
{{- end }}
