output "flight" {
  description = "URLs of Flight SQL; clients may take any."
  value       = [for zone in local.zones : "grpc://${aws_network_interface.coordinator[zone].private_ip}:${local.flight_port}"]
}

output "certificates" {
  description = "Secrets to fill with a tar of a folder of `tundra cert`, by the name that the folder has."
  value       = { for name, secret in aws_secretsmanager_secret.certificates : name => secret.name }
}

output "tenant_roles" {
  description = "The role of each tenant."
  value       = { for tenant, role in aws_iam_role.tenant : tenant => role.arn }
}
